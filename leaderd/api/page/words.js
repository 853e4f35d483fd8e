// Elements, words and figures. Whatever the daemon says goes into the page as text, never as markup.

const REASONS = {
  elected: "elected",
  switchover: "handed over by an operator",
  preempted: "a larger priority is preferred",
  shutdown: "the daemon was stopped",
  "lease-lost": "lease or key was gone from etcd",
  "store-lost": "etcd proved no renewal in time",
  unhealthy: "its check fails",
  standby: "put aside by an operator",
  "start-failed": "its resources did not start",
  "resource-failed": "a resource failed",
  "agent-died": "its agent died",
  "guard-died": "its guard died",
  "revision-regressed": "etcd went back in time",
  startup: "starting up",
};

const STATES = {
  leader: { icon: "leader", word: "leads", tone: "good" },
  candidate: { icon: "candidate", word: "in the queue", tone: "info" },
  promoting: { icon: "changing", word: "promoting", tone: "warn" },
  demoting: { icon: "changing", word: "demoting", tone: "warn" },
  standby: { icon: "standby", word: "standby", tone: "idle" },
  fenced: { icon: "bad", word: "fenced", tone: "bad" },
};

const RESOURCE_STATES = {
  started: { icon: "leader", tone: "good" },
  starting: { icon: "changing", tone: "warn" },
  stopping: { icon: "changing", tone: "warn" },
  stopped: { icon: "candidate", tone: "idle" },
  failed: { icon: "bad", tone: "bad" },
};

const GUARANTEES = {
  "at-most-one": "Never two holders: rather nobody than two",
  "at-least-one": "Rather two holders than none: while etcd does not answer, two nodes may hold the resources",
};

function make(tag, traits, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(traits || {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A name from outside: isolated, so that writing that runs from right to left cannot reorder the page.
function named(text) {
  return make("bdi", { class: "name" }, String(text));
}

function icon(name, tone) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("class", `icon ${tone || ""}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function mark(text, tone, title) {
  return make("span", { class: `mark ${tone}`, title }, text);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function reasonText(word) {
  return Object.hasOwn(REASONS, word) ? REASONS[word] : word;
}

function stateOf(table, word) {
  return Object.hasOwn(table, word) ? table[word] : { icon: "unproven", word, tone: "idle" };
}

// 0.12 s, 5.9 s, 42 s, 17 min, 3 h 12 min, 4 d 2 h
function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (Number.isInteger(seconds) && whole < 60) return `${whole} s`;
  if (seconds < 1) return `${Math.max(0, seconds).toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function wallSeconds(text) {
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at / 1000;
}

const CLOCK_TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

function timeElement(text) {
  const at = wallSeconds(text);
  if (at === null) return make("span", null, String(text || "–"));
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return make("time", { datetime: date.toISOString(), title: date.toISOString() },
    (today ? CLOCK_TIME : DAY_AND_TIME).format(date));
}

function ordinal(count) {
  const ending = ["th", "st", "nd", "rd"][count % 100 > 10 && count % 100 < 14 ? 0 : count % 10] || "th";
  return `${count}${ending}`;
}
