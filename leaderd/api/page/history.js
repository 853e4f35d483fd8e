// Past leaderships of one election: what the daemon remembers, and what this page saw happen.

// Shown in the band and in the list before "all".
const BAND_TERMS = 24;
const LIST_TERMS = 6;
// Hues for the nodes of an election, in the order of their names; further nodes share the last, which is grey.
const HUES = 6;

class History {
  constructor(name) {
    this.name = name;
    this.terms = new Map();
    this.asked = false;
    this.known = false;
    this.all = false;
  }

  // Note who leads; true when that begins a term that was not known.
  see(election, node) {
    const token = Number(election.token);
    if (!election.leader || !token || this.terms.has(token)) return false;
    for (const term of this.terms.values()) {
      if (term.to) continue;
      term.to = new Date().toISOString();
      if (term.node === node && election.state !== "leader") term.reason = election.reason;
    }
    this.terms.set(token, {
      token,
      node: election.leader,
      from: election.leader === node && election.since ? election.since : new Date().toISOString(),
      to: "",
      reason: "",
      seen: true,
    });
    return true;
  }

  // Ask the daemon. Where it keeps no history, what was seen has to do.
  async ask() {
    this.asked = true;
    try {
      const { terms } = await fetchJson(`history?election=${encodeURIComponent(this.name)}`);
      for (const term of terms) this.terms.set(Number(term.token), term);
      this.known = true;
    } catch {
      this.asked = this.known;
    }
  }

  // Newest first. Only the newest may still last: where nobody saw the end of another, the next one's
  // beginning is the latest that it can have been.
  list() {
    const terms = [...this.terms.values()].sort((one, other) => Number(other.token) - Number(one.token));
    return terms.map((term, at) => ({
      ...term,
      start: wallSeconds(term.from),
      end: wallSeconds(term.to) ?? (at ? wallSeconds(terms[at - 1].from) : null),
      lasts: at === 0 && !term.to,
    }));
  }
}

function drawHistory(place, history, leading) {
  const terms = history.list();
  place.replaceChildren();
  if (!terms.length) {
    place.append(make("p", { class: "quiet" }, "No leadership has been seen yet."));
    return;
  }
  const nodes = [...new Set(terms.map((term) => String(term.node)))].sort();
  const hue = (node) => Math.min(nodes.indexOf(String(node)), HUES);
  place.append(drawBand(terms.slice(0, BAND_TERMS).reverse(), hue, leading), drawTerms(history, terms, hue, leading));
  if (!history.known) {
    place.append(make("p", { class: "quiet" }, "Seen since this page was opened; the daemon has not told of earlier ones."));
  }
}

// Drawn to scale, but never too narrow to be seen. For the eye only: the list below says the same.
function drawBand(terms, hue, leading) {
  const band = make("div", { class: "band", "aria-hidden": "true" });
  const now = Date.now() / 1000;
  const first = terms[0].start ?? now;
  const span = Math.max(1, now - first);
  for (const term of terms) {
    const lasted = Math.max(0, (term.end ?? now) - (term.start ?? now));
    const gap = Number(term.gap) || 0;
    if (gap >= 1 && term !== terms[0]) band.append(segment("gap", gap / span, `nobody led for ${duration(gap)}`));
    const each = segment(`term hue${hue(term.node)}`, lasted / span, `${term.node}, ${duration(lasted)}`);
    if (term.lasts && leading) each.classList.add("lasts");
    each.append(named(term.node));
    band.append(each);
  }
  const axis = make("div", { class: "axis quiet", "aria-hidden": "true" }, timeElement(terms[0].from), make("span", null, "now"));
  return make("div", { class: "timeline" }, band, axis);
}

function segment(name, share, title) {
  const element = make("span", { class: name, title });
  element.style.flexGrow = String(Math.max(share, 0.0001) * 1000);
  return element;
}

function drawTerms(history, terms, hue, leading) {
  const list = make("ol", { class: "terms" }, ...terms.slice(0, LIST_TERMS).map((term) => drawTerm(term, hue, leading)));
  if (terms.length <= LIST_TERMS) return list;
  const rest = () => list.append(...terms.slice(LIST_TERMS).map((term) => drawTerm(term, hue, leading)));
  if (history.all) {
    rest();
    return list;
  }
  const more = make("button", { type: "button", class: "more" }, `Show all ${terms.length}`);
  more.addEventListener("click", () => {
    history.all = true;
    rest();
    more.remove();
  });
  return make("div", null, list, more);
}

function drawTerm(term, hue, leading) {
  const lasted = make("span", { class: "quiet lasted" });
  setText(lasted, howLong(term));
  const until = term.lasts
    ? (leading ? "now" : "end not seen")
    : term.to ? timeElement(term.to) : "end not seen";
  return make("li", null,
    make("span", { class: `swatch hue${hue(term.node)}`, "aria-hidden": "true" }),
    named(term.node),
    make("span", { class: "when" }, timeElement(term.from), " – ", until),
    lasted,
    make("span", { class: "why" }, said(term)));
}

function howLong(term) {
  if (term.start === null) return "";
  const seconds = (term.end ?? Date.now() / 1000) - term.start;
  return duration(term.end === null ? Math.floor(seconds) : seconds);
}

// The newest goes on while the page is looked at.
function ageHistory(place, history) {
  const [newest] = history.list();
  const lasted = place.querySelector(".lasted");
  if (newest && newest.lasts && lasted) setText(lasted, howLong(newest));
}

// Why it ended, whether everything of it had stopped, and how long nobody led before it.
function said(term) {
  const parts = [];
  if (term.reason) parts.push(`ended: ${reasonText(term.reason)}`);
  if (term.to && term.clean === false) parts.push("unclean: not every stop is known to have succeeded");
  if (typeof term.gap === "number") parts.push(`nobody led for ${duration(term.gap)} before`);
  if (term.seen) parts.push("seen by this page");
  return parts.join("; ");
}
