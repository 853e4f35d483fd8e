// Many elections at a glance: how many stand how, which of them to show, and a map of all.

// Up to so many elections need no overview, and stand open.
const FEW = 3;

const TALLIES = [
  { key: "all", text: "all", holds: () => true },
  { key: "attention", text: "to look at", holds: (view) => view.attention() },
  { key: "leads", text: "led here", holds: (view) => view.now === "leads" },
  { key: "elsewhere", text: "led elsewhere", holds: (view) => view.now === "elsewhere" },
  { key: "nobody", text: "without a proven leader", holds: (view) => !["leads", "elsewhere"].includes(view.now) },
];

class Overview {
  constructor(views) {
    this.views = views;
    this.chosen = "all";
    this.root = document.getElementById("overview");
    this.filter = document.getElementById("filter");
    this.shown = document.getElementById("shown");
    this.map = document.getElementById("map");
    this.squares = new Map();
    this.filter.addEventListener("input", () => this.apply());
    this.buttons = TALLIES.map((tally) => this.button(tally));
    document.getElementById("tallies").append(...this.buttons.map((each) => each.root));
  }

  button(tally) {
    const count = make("b", null, "0");
    const root = make("button", { type: "button", class: `tally ${tally.key}`, "aria-pressed": "false" }, count, ` ${tally.text}`);
    root.addEventListener("click", () => {
      this.chosen = this.chosen === tally.key ? "all" : tally.key;
      this.apply();
    });
    return { tally, root, count };
  }

  // Bring everything in line with how the elections stand.
  update() {
    const views = [...this.views.values()];
    this.root.hidden = views.length <= FEW;
    for (const { tally, root, count } of this.buttons) {
      const number = views.filter(tally.holds).length;
      setText(count, String(number));
      root.classList.toggle("none", number === 0);
    }
    if (!this.root.hidden) this.drawMap(views);
    this.apply();
  }

  drawMap(views) {
    for (const view of views) {
      let square = this.squares.get(view.name);
      if (!square) {
        square = make("span", { title: view.name });
        square.addEventListener("click", () => reveal(view));
        this.squares.set(view.name, square);
        this.map.append(square);
      }
      square.dataset.standing = view.now;
      square.classList.toggle("attention", view.attention());
    }
    for (const [name, square] of this.squares) {
      if (this.views.has(name)) continue;
      square.remove();
      this.squares.delete(name);
    }
  }

  apply() {
    const few = this.views.size <= FEW;
    const wanted = few ? "" : this.filter.value.trim().toLowerCase();
    const { holds } = TALLIES.find((tally) => tally.key === (few ? "all" : this.chosen));
    let shown = 0;
    for (const view of this.views.values()) {
      const hit = holds(view) && (!wanted || names(view).some((name) => name.toLowerCase().includes(wanted)));
      view.root.hidden = !hit;
      const square = this.squares.get(view.name);
      if (square) square.classList.toggle("aside", !hit);
      shown += hit;
    }
    for (const { tally, root } of this.buttons) root.setAttribute("aria-pressed", String(tally.key === this.chosen));
    setText(this.shown, shown === this.views.size ? "" : `${shown} of ${this.views.size} shown`);
  }
}

function names(view) {
  const { election } = view;
  return [view.name, election.leader || "", ...(election.nodes || []).map((node) => String(node.node))];
}

function reveal(view) {
  view.root.hidden = false;
  view.root.open = true;
  view.root.scrollIntoView({ block: "start" });
  view.root.querySelector("summary").focus({ preventScroll: true });
}
