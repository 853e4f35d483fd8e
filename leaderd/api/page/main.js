// Puts the parts together and lets time pass.

// Ten times a second is smooth enough for a lease of seconds, and idle enough for a hundred of them.
const TICK_MS = 100;
// More news than this at once are counted, not read out.
const READ_OUT = 3;

const views = new Map();
const overview = new Overview(views);
const facts = new Facts(takeReport, showLink);
let daemon = "";
let linkShown = "";

function takeReport() {
  const { report } = facts;
  const list = document.getElementById("elections");
  const first = views.size === 0;
  const news = [];
  for (const election of report.elections) {
    const name = String(election.name);
    if (!views.has(name)) {
      const view = new ElectionView(name, facts);
      views.set(name, view);
      list.append(view.root);
      if (!first) news.push(`${name}: a new election`);
    }
    news.push(views.get(name).update(election));
  }
  const present = new Set(report.elections.map((election) => String(election.name)));
  for (const [name, view] of views) {
    if (present.has(name)) continue;
    view.root.remove();
    views.delete(name);
    news.push(`${name}: no election of this node any more`);
  }
  document.body.classList.toggle("many", views.size > FEW);
  if (first) openAtFirst();
  showNode(news);
  tell(news);
  overview.update();
}

function openAtFirst() {
  const wanted = wantedView();
  if (wanted) reveal(wanted);
  else if (views.size <= FEW) for (const view of views.values()) view.root.open = true;
  if (!views.size) {
    document.getElementById("elections").append(make("p", { class: "quiet" }, "This node has no election."));
  }
}

// The election that the address names behind its #.
function wantedView() {
  try {
    return views.get(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return undefined;
  }
}

function showNode(news) {
  const { report } = facts;
  const { node, version, boot_id: boot, pids = {}, warnings = [] } = report;
  const now = JSON.stringify([node, version, boot, pids, warnings]);
  if (now === daemon) return;
  if (daemon) news.push("The daemon was started again");
  daemon = now;
  document.title = `${node} · leaderd`;
  document.getElementById("where").replaceChildren("node ", named(node),
    make("span", { class: "quiet" }, ` leaderd ${version || ""}`));
  document.getElementById("warnings").replaceChildren(
    ...warnings.map((warning) => make("p", { class: "banner warn" }, icon("nobody", "warn"), String(warning))));
}

// Tell those who hear the page instead of seeing it.
function tell(news) {
  const said = news.filter(Boolean);
  if (!said.length) return;
  setText(document.getElementById("news"), said.length > READ_OUT
    ? `${said.length} elections changed` : said.join(". "));
}

function showLink() {
  const fresh = facts.fresh();
  const link = fresh ? (facts.failures ? "shaky" : "live") : facts.report ? "lost" : facts.failures ? "lost" : "connecting";
  const seconds = Math.floor(facts.age());
  const text = { live: "live", shaky: "asking again", connecting: "connecting",
    lost: facts.report ? `no answer for ${duration(seconds)}` : "no answer" }[link];
  const shown = `${link} ${text} ${facts.problem}`;
  if (shown === linkShown) return;
  linkShown = shown;
  document.getElementById("link").dataset.link = link;
  setText(document.getElementById("link-text"), text);
  document.body.classList.toggle("lost", link === "lost");
  showAlert(link === "lost");
}

function showAlert(lost) {
  const place = document.getElementById("alert");
  if (lost === place.hasChildNodes()) return;
  const who = facts.report ? [named(facts.report.node)] : ["The daemon"];
  place.replaceChildren(...(lost ? [make("p", { class: "banner bad" }, icon("unproven", "bad"),
    make("span", null, make("b", null, "No proof of leadership. "), ...who,
      " does not answer. What is below is what it said last; it proves nothing now. This page goes on asking."))] : []));
}

function letTimePass() {
  if (document.hidden) return;
  const news = [...views.values()].map((view) => view.tick());
  if (news.some(Boolean)) {
    tell(news);
    overview.update();
  }
  showLink();
}

window.addEventListener("hashchange", () => {
  const wanted = wantedView();
  if (wanted) reveal(wanted);
});
setInterval(letTimePass, TICK_MS);
facts.begin();
