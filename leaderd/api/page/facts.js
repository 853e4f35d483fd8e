// What the page knows, and for how long it may believe it.
//
// The stream of /events only says *that* something changed: an event may have waited on its way, and then
// the seconds in it are worth less than they say. What is shown comes from /status alone, and all that it
// grants counts from when it was asked for.

// Seconds after which an answer proves nothing any more, whatever it granted.
const STALE_AFTER = 4;
// Seconds that the daemon has for an answer.
const PATIENCE = 2;
// Seconds between two questions while all is well; asked more often where leases are short.
const ASK_EVERY = 1;
const ASK_AT_MOST_EVERY = 0.2;
// Until the next question after one, two, … that brought no answer.
const AFTER_FAILURES = [0.5, 1, 2, 4, 5];
// Between two attempts to open a stream that was refused.
const STREAM_PAUSE = 5;
// The names under which the stream may tell of a change.
const NEWS = ["message", "change", "status", "election"];

function presentInstant() {
  return { steady: performance.now(), wall: Date.now() };
}

// The larger of two advances: performance.now() may stand still while the machine sleeps, and the wall
// clock may be set back.
function secondsSince(instant) {
  return Math.max(performance.now() - instant.steady, Date.now() - instant.wall) / 1000;
}

class Facts {
  constructor(onReport, onLink) {
    this.report = null;
    this.askedAt = null;
    this.failures = 0;
    this.problem = "";
    this.onReport = onReport;
    this.onLink = onLink;
    this.asking = false;
    this.askAgain = false;
    this.timer = 0;
    this.stream = null;
    this.streamRetryAt = 0;
  }

  begin() {
    document.addEventListener("visibilitychange", () => this.lookAgain());
    window.addEventListener("online", () => this.lookAgain());
    window.addEventListener("pageshow", () => this.lookAgain());
    this.lookAgain();
  }

  age() {
    return this.askedAt ? secondsSince(this.askedAt) : Infinity;
  }

  fresh() {
    return this.report !== null && this.age() < STALE_AFTER;
  }

  // Seconds for which this node may go on leading; 0 or less proves nothing.
  left(election) {
    if (election.state !== "leader" || !this.fresh()) return 0;
    return Number(election.valid_for) - this.age();
  }

  // A page that nobody sees asks nothing and holds no stream: browsers allow six to a host.
  lookAgain() {
    clearTimeout(this.timer);
    if (document.hidden) {
      this.closeStream();
      return;
    }
    this.failures = 0;
    this.ask();
  }

  async ask() {
    clearTimeout(this.timer);
    if (this.asking) {
      this.askAgain = true;
      return;
    }
    this.asking = true;
    this.askAgain = false;
    const askedAt = presentInstant();
    try {
      this.accept(await fetchJson("status"), askedAt);
    } catch (error) {
      this.failures += 1;
      this.problem = error.name === "TimeoutError" ? "it does not answer" : error.message;
      this.onLink();
    }
    this.asking = false;
    if (!document.hidden) this.timer = setTimeout(() => this.ask(), this.pause(askedAt) * 1000);
  }

  accept(report, askedAt) {
    if (!isReport(report)) throw new Error("its answer is no status report");
    if (this.failures) this.streamRetryAt = 0;
    this.report = report;
    this.askedAt = askedAt;
    this.failures = 0;
    this.problem = "";
    try {
      this.onReport();
    } catch (error) {
      // What could not be shown must not lend its freshness to what was shown before.
      this.askedAt = null;
      throw error;
    }
    this.onLink();
    this.openStream();
  }

  pause(askedAt) {
    if (this.failures) return AFTER_FAILURES[Math.min(this.failures, AFTER_FAILURES.length) - 1];
    if (this.askAgain) return Math.max(0, ASK_AT_MOST_EVERY - secondsSince(askedAt));
    const leases = this.report.elections.map((each) => Number(each.valid_for)).filter((left) => left > 0);
    return Math.max(ASK_AT_MOST_EVERY, Math.min(ASK_EVERY, ...leases.map((left) => left / 4)));
  }

  openStream() {
    if (document.hidden || (this.stream && this.stream.readyState !== EventSource.CLOSED)) return;
    if (performance.now() < this.streamRetryAt) return;
    this.closeStream();
    this.streamRetryAt = performance.now() + STREAM_PAUSE * 1000;
    this.stream = new EventSource("events");
    for (const name of NEWS) this.stream.addEventListener(name, () => this.ask());
    // A broken stream is news too: the daemon may have gone.
    this.stream.addEventListener("error", () => this.failures || this.ask());
  }

  closeStream() {
    if (this.stream) this.stream.close();
    this.stream = null;
    this.streamRetryAt = 0;
  }
}

function isReport(report) {
  return Boolean(report) && Array.isArray(report.elections)
    && report.elections.every((each) => each !== null && typeof each === "object" && "name" in each);
}

async function fetchJson(path) {
  const answer = await fetch(path, {
    cache: "no-store",
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(PATIENCE * 1000),
  }).catch((error) => {
    throw error.name === "TimeoutError" ? error : new Error("it cannot be reached");
  });
  if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  return answer.json();
}

// How an election stands, in one word, for headline, colour and tally.
function standing(election, facts) {
  if (!facts.fresh()) return "unproven";
  if (election.state === "fenced") return "fenced";
  if (election.state === "leader" && facts.left(election) <= 0) return "unproven";
  if (election.state === "leader") return election.proven === false ? "loose" : "leads";
  if (election.state === "promoting" || election.state === "demoting") return "changing";
  return election.leader && election.leader !== facts.report.node ? "elsewhere" : "nobody";
}

function needsAttention(election, now) {
  const nodes = election.nodes || [];
  return ["fenced", "nobody", "unproven", "loose"].includes(now) || Boolean(election.blocked)
    || election.healthy === false
    || nodes.some((node) => node.state === "fenced" || node.reason === "unhealthy")
    || (election.candidates || []).some((key) => key.foreign)
    || (election.resources || []).some((each) => each.state === "failed");
}
