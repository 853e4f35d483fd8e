// One election on the page: a line that can be opened.

const HEADLINES = {
  leads: { icon: "leader", tone: "good" },
  elsewhere: { icon: "elsewhere", tone: "info" },
  changing: { icon: "changing", tone: "warn" },
  nobody: { icon: "nobody", tone: "warn" },
  fenced: { icon: "bad", tone: "bad" },
  unproven: { icon: "unproven", tone: "bad" },
  loose: { icon: "unproven", tone: "warn" },
};

class ElectionView {
  constructor(name, facts) {
    this.name = name;
    this.facts = facts;
    this.history = new History(name);
    this.election = null;
    this.now = "";
    this.full = 0;
    this.drawn = "";
    this.build();
  }

  build() {
    this.headline = make("span", { class: "headline" });
    this.marks = make("span", { class: "marks" });
    this.brief = meter("brief", this.name);
    this.root = make("details", { class: "election" },
      make("summary", null,
        this.headlineIcon = make("span", { class: "standing" }),
        make("h2", null, named(this.name)),
        this.headline,
        this.brief.root,
        this.marks,
        icon("open", "chevron")),
      this.body = make("div", { class: "body" }));
    this.hero = make("div", { class: "hero" });
    this.lease = meter("lease", this.name);
    this.nodes = make("ul", { class: "rows" });
    this.resources = make("ul", { class: "rows resources" });
    this.past = make("div", { class: "past" });
    this.body.append(this.hero, this.lease.root,
      make("div", { class: "columns" },
        make("section", null, make("h3", null, "Nodes and queue"), this.nodes),
        make("section", null, make("h3", null, "Resources here"), this.resources)),
      make("section", null, make("h3", null, "Leaderships"), this.past));
    this.root.addEventListener("toggle", () => this.root.open && this.opened());
  }

  async opened() {
    this.draw();
    if (!this.history.asked) {
      await this.history.ask();
      this.drawPast();
    }
  }

  // Take in what the daemon says now. Returns a sentence when that is news.
  update(election) {
    const before = this.election;
    this.election = election;
    this.full = before && before.token === election.token ? this.full : 0;
    if (this.history.see(election, this.facts.report.node) && before) this.history.asked = false;
    const said = this.tick();
    const facts = JSON.stringify({ ...election, valid_for: 0 });
    if (facts !== this.drawn) {
      this.drawn = facts;
      this.draw();
      if (this.root.open && !this.history.asked) this.opened();
    }
    return said;
  }

  // Let time pass. Returns a sentence when that, or what came before, changed how things stand.
  tick() {
    const now = standing(this.election, this.facts);
    const left = this.facts.left(this.election);
    this.full = Math.max(this.full, left);
    const lasting = now === "leads" || now === "loose";
    if (this.root.open) this.age(lasting);
    for (const each of [this.brief, this.lease]) each.show(lasting, left, this.full);
    const key = `${now} ${this.election.leader} ${this.election.state}`;
    if (key === this.nowKey) return "";
    const first = !this.nowKey;
    this.nowKey = key;
    this.now = now;
    this.root.dataset.standing = now;
    this.headlineIcon.replaceChildren(icon(HEADLINES[now].icon, HEADLINES[now].tone));
    setText(this.headline, this.sentence());
    this.draw();
    return first ? "" : `${this.name}: ${this.sentence()}`;
  }

  age(lasting) {
    const since = wallSeconds(this.election.since);
    if (this.lasted) setText(this.lasted, since === null ? "" : `, for ${duration(Math.floor(Date.now() / 1000 - since))}`);
    if (lasting) ageHistory(this.past, this.history);
  }

  attention() {
    return needsAttention(this.election, this.now);
  }

  sentence() {
    const { leader, state } = this.election;
    const here = this.facts.report.node;
    switch (this.now) {
      case "leads": return `${here} leads`;
      case "loose": return `${here} holds without etcd`;
      case "elsewhere": return `${leader} leads`;
      case "changing": return `${here} is ${state}`;
      case "fenced": return `${here} is fenced`;
      case "nobody": return "Nobody leads";
      default: return "No proof of leadership";
    }
  }

  draw() {
    this.drawMarks();
    if (!this.root.open) return;
    this.drawHero();
    this.drawNodes();
    this.drawResources();
    this.drawPast();
  }

  drawMarks() {
    const { election } = this;
    const here = (election.nodes || []).find((node) => node.node === this.facts.report.node) || {};
    const unfit = (election.nodes || []).filter((node) => node.reason === "unhealthy").length;
    this.marks.replaceChildren();
    const add = (when, text, tone, title) => when && this.marks.append(mark(text, tone, title));
    add(election.paused, "paused", "warn", "While paused nobody is newly promoted");
    add(election.blocked, "blocked", "bad", election.blocked);
    add(here.state === "standby" && here.reason === "standby", "this node on standby", "idle", "Put aside by an operator; back with leaderd online");
    add(election.healthy === false && election.state !== "fenced", "this node unhealthy", "bad", "Its check says that it may not lead");
    add(unfit && election.healthy !== false, `${unfit} unhealthy`, "warn", "Other nodes whose check says that they may not lead");
    add(election.guarantee, election.guarantee === "at-least-one" ? "at least one" : "at most one",
      election.guarantee === "at-least-one" ? "warn" : "plain", Object.hasOwn(GUARANTEES, election.guarantee) ? GUARANTEES[election.guarantee] : null);
  }

  drawHero() {
    const { election, now } = this;
    const look = HEADLINES[now];
    const said = make("p", { class: "said" }, ...this.explanation());
    this.hero.dataset.standing = now;
    this.hero.replaceChildren(
      make("p", { class: "who" }, icon(look.icon, look.tone), this.bigHeadline()), said);
    if (election.blocked) this.hero.append(make("p", { class: "said bad" }, `Nobody may be promoted here: ${election.blocked}`));
    if (election.detail) this.hero.append(make("p", { class: "said" }, election.detail));
  }

  bigHeadline() {
    const { leader, state } = this.election;
    const here = this.facts.report.node;
    const line = make("span", null);
    switch (this.now) {
      case "leads": line.append(named(here), " leads"); break;
      case "loose": line.append(named(here), " holds without etcd"); break;
      case "elsewhere": line.append(named(leader), " leads"); break;
      case "changing": line.append(named(here), ` is ${state}`); break;
      case "fenced": line.append(named(here), " is fenced"); break;
      default: line.append(this.sentence());
    }
    return line;
  }

  explanation() {
    const { election } = this;
    const here = this.facts.report.node;
    const why = election.reason ? `${reasonText(election.reason)} · ` : "";
    const token = election.token ? [" · token ", make("span", { class: "figure" }, String(election.token))] : [];
    switch (this.now) {
      case "elsewhere":
        return ["as ", named(here), " sees it; the proof is with ", named(election.leader), ...token];
      case "nobody":
        return ["as ", named(here), " sees it", election.paused ? "; paused, so nobody is newly promoted" : "", ...token];
      case "unproven":
        return this.noProof();
      default:
        this.lasted = make("span", null);
        return [why, "since ", timeElement(election.since), this.lasted, ...token, ...this.other()];
    }
  }

  // Who leads while this node is busy with something else.
  other() {
    const { leader } = this.election;
    return leader && leader !== this.facts.report.node ? [" · ", named(leader), " leads"] : [];
  }

  noProof() {
    const { election } = this;
    const loose = election.guarantee === "at-least-one" ? " In this election a node may hold its resources all the same." : "";
    if (this.facts.fresh()) {
      return ["The lease of ", named(this.facts.report.node), " has not been renewed in time: treat it as not leading.", loose];
    }
    return ["What ", named(this.facts.report.node), " said last is too old to go by.", loose];
  }

  drawNodes() {
    const { election } = this;
    const queue = (election.candidates || []).map((key) => key.node);
    const nodes = [...(election.nodes || [])];
    for (const node of queue) {
      if (!nodes.some((each) => each.node === node)) nodes.push({ node, state: "candidate", reason: "" });
    }
    const place = (node) => (queue.includes(node.node) ? queue.indexOf(node.node) : queue.length);
    nodes.sort((one, other) => place(one) - place(other));
    this.nodes.replaceChildren(...nodes.map((node) => this.nodeRow(node, queue)));
    if (!nodes.length) this.nodes.append(make("li", { class: "quiet" }, "None is known."));
  }

  nodeRow(node, queue) {
    const key = (this.election.candidates || []).find((each) => each.node === node.node);
    const own = node.node === this.facts.report.node;
    const look = stateOf(STATES, node.state);
    const at = queue.indexOf(node.node);
    const waits = node.state === "candidate" && at >= 0;
    const proven = node.state !== "leader" || (own ? ["leads", "loose"].includes(this.now) : this.facts.fresh());
    const word = !proven ? "led, as last heard" : own && this.now === "loose" ? "holds without etcd" : !waits ? look.word : at === 0 ? "first in line" : at === 1 ? "next in line" : `${ordinal(at)} in line`;
    const notes = make("span", { class: "notes" });
    if (own) notes.append(mark("this node", "plain"));
    if (key && key.foreign) notes.append(mark("not leaderd", "warn", "A client of etcd's election recipe: outside the promise"));
    if (node.reason && node.reason !== "elected") {
      notes.append(make("span", { class: "quiet", title: node.reason }, reasonText(node.reason)));
    }
    const priority = key && !key.foreign
      ? make("span", { class: "priority quiet", title: "The larger is preferred" }, `priority ${key.priority}`)
      : make("span", { class: "priority" });
    const tone = proven ? look.tone : "idle";
    return make("li", null, icon(proven ? look.icon : "unproven", tone), named(node.node),
      make("span", { class: `word ${tone}` }, word), notes, priority);
  }

  drawResources() {
    const resources = this.election.resources || [];
    this.resources.replaceChildren(...resources.map((each) => {
      const look = stateOf(RESOURCE_STATES, each.state);
      return make("li", null, icon(look.icon, look.tone), named(each.name),
        make("span", { class: `word ${look.tone}` }, String(each.state)),
        make("span", { class: "notes quiet" }, String(each.type)));
    }));
    if (!resources.length) this.resources.append(make("li", { class: "quiet" }, "This election has none."));
  }

  drawPast() {
    if (this.root.open) drawHistory(this.past, this.history, this.now === "leads" || this.now === "elsewhere");
  }
}

// A lease that drains and is refilled by every proven renewal.
function meter(kind, name) {
  const fill = make("span", { class: "fill" });
  const figure = make("span", { class: "figure" });
  const caption = kind === "lease" ? make("span", { class: "quiet caption" }, "left to lead without another renewal") : null;
  const bar = make("span", { class: "bar", role: "meter", "aria-label": `Lease of ${name}, seconds left`, "aria-valuemin": "0" }, fill);
  const root = make("span", { class: `meter ${kind}` }, bar, figure, caption);
  let told = "";
  return {
    root,
    show(lasting, left, full) {
      root.hidden = !lasting;
      if (!lasting) return;
      const share = full ? Math.max(0, Math.min(1, left / full)) : 0;
      fill.style.transform = `scaleX(${share.toFixed(3)})`;
      root.classList.toggle("low", share < 0.3);
      setText(figure, `${Math.max(0, left).toFixed(1)} s`);
      // For those who hear it: whole seconds, or it would be read out without end.
      const whole = String(Math.floor(left));
      if (whole === told) return;
      told = whole;
      bar.setAttribute("aria-valuemax", full.toFixed(1));
      bar.setAttribute("aria-valuenow", whole);
      bar.setAttribute("aria-valuetext", `${whole} seconds`);
    },
  };
}
