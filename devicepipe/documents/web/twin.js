"use strict";
// Search, filters and sorting for a document that is complete without them. No network, no storage, no library.
// What always holds: texts of the document are only ever put back as text, never as markup; printing shows every row in the
// order of the document, whatever is filtered or sorted on the screen.
(() => {
  const SMALL = 6; // a table of fewer rows needs no filters
  const CHOICES = 24; // a column of at most so many values is filtered by choosing one
  const MARKED = 400; // so many places are marked at most
  const AT_ONCE = 300; // so many rows of a table are shown at once, the rest ...
  const SLICE = 2000; // ... so many at a time
  const folded = (text) => text.normalize("NFKC").toLowerCase();
  const collator = new Intl.Collator("en", { numeric: true });

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function detailOf(cell) {
    const last = cell.lastElementChild;
    return last?.className === "detail" ? last : null;
  }

  // --- what is searched: headings and tables, in the order of the document

  class Title {
    constructor(heading) {
      this.heading = heading;
      this.text = folded(heading.textContent);
    }

    found(words) { return words.every((word) => this.text.includes(word)) ? [this.heading] : []; }
  }

  // Facts and figures: found, never hidden.
  class Facts {
    constructor(wide) {
      this.rows = [...wide.querySelectorAll("tr")];
      this.texts = this.rows.map((row) => folded([...row.cells].map((cell) => cell.textContent).join("\n")));
    }

    found(words) { return this.rows.filter((row, index) => words.every((word) => this.texts[index].includes(word))); }
  }

  // A table whose rows are searched, filtered and sorted.
  class Rows {
    constructor(wide) {
      this.wide = wide;
      this.table = wide.querySelector("table");
      this.body = this.table.tBodies[0];
      this.filed = [...this.body.rows];
      this.heads = [...this.table.tHead.rows[0].cells];
      this.titles = this.heads.map((head) => head.textContent);
      this.filters = this.heads.map(() => null);
      this.rows = this.filed;
      this.matched = this.filed;
      this.waiting = [];
      this.sorted = null;
      this.texts = null;
      this.shown = this.filed.length;
      this.name = this.table.caption?.textContent || this.section();
      this.heads.forEach((head, at) => {
        const button = make("button", { type: "button", class: "sort" }, ...head.childNodes);
        button.addEventListener("click", () => this.sort(at));
        head.append(button);
      });
      // The header's buttons take the focus into a table that scrolls.
      wide.removeAttribute("tabindex");
      if (this.filed.length >= SMALL) this.addTools();
    }

    section() {
      for (let at = this.wide; at; at = at.previousElementSibling) if (/^H[2-4]$/.test(at.tagName)) return at.textContent;
      return "Table";
    }

    addTools() {
      this.opener = make("button", { type: "button", "aria-expanded": "false" }, "Filter columns");
      this.opener.addEventListener("click", () => this.openFilters());
      this.clearer = make("button", { type: "button", hidden: "" }, "Show all rows");
      this.clearer.addEventListener("click", () => { this.clear(); this.opener.focus(); update(this.told()); });
      this.count = make("span", {}, this.told());
      this.wide.prepend(make("div", { class: "tools" }, this.opener, this.count, this.clearer));
    }

    told() {
      const all = this.filed.length;
      const rows = all === 1 ? "row" : "rows";
      return this.shown === all ? `${all} ${rows}` : `${this.shown} of ${all} ${rows}`;
    }

    // What is searched, row by row. A cell that repeats the one above it does so without its second text: it counts all the same.
    read() {
      if (this.texts) return;
      const above = [];
      this.missing = new Map();
      this.texts = this.filed.map((row) => {
        let text = "";
        for (let at = 0, cell = row.firstElementChild; cell; at += 1, cell = cell.nextElementSibling) {
          text += `${cell.textContent}\n`;
          if (!cell.classList.contains("again")) above[at] = detailOf(cell);
          else if (above[at]) {
            this.missing.set(cell, above[at]);
            text += `${above[at].textContent}\n`;
          }
        }
        return folded(text);
      });
    }

    // Away from its neighbour, such a cell is given its second text.
    complete(row) {
      for (const cell of row.querySelectorAll(".again")) {
        const detail = this.missing.get(cell);
        if (!detail) continue;
        cell.append(detail.cloneNode(true));
        this.missing.delete(cell);
      }
    }

    value(row, at) {
      const cell = row.cells[at];
      const detail = detailOf(cell);
      return detail ? cell.textContent.slice(0, -detail.textContent.length) : cell.textContent;
    }

    openFilters() {
      if (!this.filterRow) this.makeFilters();
      const open = this.opener.getAttribute("aria-expanded") === "false";
      this.opener.setAttribute("aria-expanded", String(open));
      this.filterRow.hidden = !open;
      if (open) this.filterRow.querySelector("select, input").focus();
    }

    makeFilters() {
      this.filterRow = make("tr", { class: "filters", hidden: "" });
      this.titles.forEach((title, at) => {
        const counts = new Map();
        for (const row of this.filed) {
          const value = this.value(row, at);
          counts.set(value, (counts.get(value) || 0) + 1);
        }
        const few = counts.size <= CHOICES && counts.size < this.filed.length;
        const control = few ? this.makeChoice(counts) : make("input", { type: "search", placeholder: "contains" });
        control.setAttribute("aria-label", `Filter by ${title}`);
        control.addEventListener("input", () => {
          this.filters[at] = this.test(control, at, few);
          update(`${this.name}: `, this);
        });
        control.addEventListener("keydown", (event) => {
          if (event.key !== "Escape" || !control.value) return;
          control.value = "";
          control.dispatchEvent(new Event("input"));
          event.preventDefault();
        });
        this.filterRow.append(make("td", {}, control));
      });
      this.table.tHead.append(this.filterRow);
    }

    makeChoice(counts) {
      const choice = make("select", {}, make("option", { value: "" }, "all"));
      for (const value of [...counts.keys()].sort(collator.compare)) {
        const shown = value.length > 60 ? `${value.slice(0, 60)} …` : value || "(empty)";
        // The value of an option may not be empty: that is "all".
        choice.append(make("option", { value: `=${value}` }, `${shown} (${counts.get(value)})`));
      }
      return choice;
    }

    test(control, at, few) {
      if (!control.value) return null;
      if (few) {
        const wanted = control.value.slice(1);
        return (row) => this.value(row, at) === wanted;
      }
      const words = folded(control.value).split(/\s+/).filter(Boolean);
      return (row) => {
        const text = folded(row.cells[at].textContent);
        return words.every((word) => text.includes(word));
      };
    }

    clear() {
      this.filters.fill(null);
      for (const control of this.filterRow?.querySelectorAll("select, input") || []) control.value = "";
    }

    get filtered() { return this.filters.some(Boolean); }

    // Shows the rows that have all words and pass all filters: the first ones now, the rest in slices, so that nobody waits.
    apply(words) {
      const tests = this.filters.filter(Boolean);
      const all = !words.length && !tests.length;
      const loose = !all || this.sorted !== null;
      if (loose) this.read();
      const places = all ? null : new Set(this.filed.filter((row, index) =>
        words.every((word) => this.texts[index].includes(word)) && tests.every((test) => test(row))));
      this.matched = this.rows.filter((row) => all || places.has(row));
      this.shown = this.matched.length;
      if (!all) for (const row of this.rows) if (!row.hidden && !places.has(row)) row.hidden = true;
      // Rows whose look changes are laid out anew: the first ones now, so the others wait as those that come back do.
      if (this.table.classList.contains("loose") !== loose) for (const row of this.matched.slice(AT_ONCE)) row.hidden = true;
      this.table.classList.toggle("loose", loose);
      this.wide.classList.toggle("unmatched", this.shown === 0 && !this.filtered);
      if (this.count) {
        this.count.textContent = this.told() + (this.shown ? "" : ` of “${this.name}”`);
        this.clearer.hidden = !this.filtered;
      }
      this.waiting = loose ? [...this.matched] : this.matched.filter((row) => row.hidden);
      this.show(AT_ONCE);
    }

    show(count) {
      const loose = this.table.classList.contains("loose");
      for (const row of this.waiting.splice(0, count)) {
        if (loose) this.complete(row);
        row.hidden = false;
      }
      clearTimeout(this.timer);
      if (this.waiting.length) this.timer = setTimeout(() => this.show(SLICE), 0);
      this.table.setAttribute("aria-busy", String(this.waiting.length > 0));
      if (this.waiting.length || !this.wide.contains(kept)) return;
      kept.scrollIntoView({ block: "center" });
      kept = null;
    }

    found() { return this.matched; }

    sort(at) {
      const [was, up] = this.sorted || [-1, false];
      this.sorted = was !== at ? [at, true] : up ? [at, false] : null;
      this.order();
      this.apply(words);
      const how = this.sorted ? `sorted by ${this.titles[at]}, ${this.sorted[1] ? "ascending" : "descending"}` : "in the order of the document";
      tell(`${this.name}: ${how}`);
    }

    order() {
      this.heads.forEach((head) => head.removeAttribute("aria-sort"));
      this.rows = this.filed;
      if (this.sorted) {
        const [at, up] = this.sorted;
        this.heads[at].setAttribute("aria-sort", up ? "ascending" : "descending");
        const keyed = this.filed.map((row) => [this.value(row, at), row]);
        keyed.sort((a, b) => (up ? collator.compare(a[0], b[0]) : collator.compare(b[0], a[0])));
        this.rows = keyed.map((pair) => pair[1]);
      }
      this.rows.forEach((row, index) => { if (index >= AT_ONCE) row.hidden = true; });
      this.body.append(...this.rows);
    }
  }

  // --- the whole document

  const content = document.getElementById("content");
  const places = [...content.querySelectorAll("h2[id], h3[id], h4[id], .wide")].map((place) => {
    if (!place.matches(".wide")) return new Title(place);
    return place.querySelector(":scope > table.rows") ? new Rows(place) : new Facts(place);
  });
  const tables = places.filter((place) => place instanceof Rows);
  const input = make("input", { type: "search", id: "twin-search", autocomplete: "off", spellcheck: "false" });
  const status = make("span", { role: "status" });
  let words = [];
  let hits = [];
  let here = -1;
  let kept = null; // a row that is to be in sight when all rows are shown again

  const tell = (text) => { status.textContent = text; };
  const plural = (count, one, more) => `${count} ${count === 1 ? one : more}`;

  function update(what = "", table = null) {
    const was = hits[here];
    words = folded(input.value).split(/\s+/).filter(Boolean);
    // Whoever ends a search stays where it led to, in sight of what is around it.
    kept = words.length || !was ? null : was;
    for (const one of tables) one.apply(words);
    if (kept && !kept.closest("table.rows")) kept.scrollIntoView({ block: "center" });
    move(-1);
    hits = words.length ? places.flatMap((place) => place.found(words)) : [];
    mark();
    if (table) tell(what + table.told());
    else if (!words.length) tell(what);
    else {
      const rows = hits.filter((hit) => hit.cells).length;
      tell(`${plural(rows, "row", "rows")}, ${plural(hits.length - rows, "heading", "headings")} found`);
    }
  }

  // Marking asks nothing of the document itself: no element is added or changed.
  function mark() {
    if (!window.Highlight || !CSS.highlights) return;
    const ranges = [];
    for (const hit of words.length ? hits : []) {
      const walker = document.createTreeWalker(hit, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node && ranges.length < MARKED; node = walker.nextNode()) {
        const text = node.data.toLowerCase();
        for (const word of words) {
          for (let at = text.indexOf(word); at >= 0 && ranges.length < MARKED; at = text.indexOf(word, at + word.length)) {
            if (at + word.length > node.length) break;
            const range = new Range();
            range.setStart(node, at);
            range.setEnd(node, at + word.length);
            ranges.push(range);
          }
        }
      }
      if (ranges.length >= MARKED) break;
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  function move(to) {
    hits[here]?.classList.remove("here");
    here = to;
    const hit = hits[here];
    if (!hit) return;
    for (const table of tables) if (table.wide.contains(hit)) table.show(Infinity);
    hit.classList.add("here");
    hit.scrollIntoView({ block: "center" });
    const named = hit.cells ? [...hit.cells].find((cell) => cell.tagName === "TH") || hit.cells[0] : hit;
    const name = [...named.childNodes].map((node) => node.textContent).join(", ");
    tell(`${here + 1} of ${hits.length}: ${name.length > 80 ? `${name.slice(0, 80)} …` : name}`);
  }

  const step = (by) => { if (hits.length) move((here + by + hits.length) % hits.length); };
  const back = () => { if (hits.length) move(here <= 0 ? hits.length - 1 : here - 1); };

  function reset() {
    input.value = "";
    for (const table of tables) {
      table.clear();
      if (!table.sorted) continue;
      table.sorted = null;
      table.order();
    }
    update("All rows, in the order of the document");
  }

  const KEYS = [
    ["Ctrl + / (⌘ + /)", "to the search field"],
    ["Enter, Shift + Enter", "in it: to the next and the previous place found"],
    ["Ctrl + Enter", "in it: puts the focus on that place"],
    ["Escape", "in it, or in a filter: empties it"],
    ["Tab", "to the headings of a table (Enter sorts: up, down, as filed) and its filters"],
  ];
  const PAPER = "Printing gives the whole document in its own order, whatever is filtered or sorted here.";

  function addFinder() {
    const next = make("button", { type: "button" }, "Next");
    const previous = make("button", { type: "button" }, "Previous");
    const all = make("button", { type: "button" }, "Reset");
    next.addEventListener("click", () => step(1));
    previous.addEventListener("click", back);
    all.addEventListener("click", () => { reset(); input.focus(); });
    const list = make("dl");
    for (const [keys, meaning] of KEYS) list.append(make("dt", {}, keys), make("dd", {}, meaning));
    const help = make("details", {}, make("summary", {}, "Help"), make("div", {}, list, make("p", {}, PAPER)));
    help.addEventListener("keydown", (event) => { if (event.key === "Escape") { help.open = false; help.firstChild.focus(); } });
    const finder = make("div", { role: "search", class: "finder", "aria-label": "In this document" },
      make("label", { for: "twin-search" }, "Search"), input, previous, next, all, status, help);
    document.querySelector(".bar").append(finder);
    let waiting = 0;
    input.addEventListener("input", () => {
      // The next frame: quick typing costs one pass, not one a letter.
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => update());
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        const hit = hits[here < 0 ? 0 : here];
        if (hit) { hit.setAttribute("tabindex", "-1"); hit.focus(); }
      } else if (event.key === "Enter") {
        if (event.shiftKey) back(); else step(1);
      } else if (event.key === "Escape" && input.value) {
        input.value = "";
        update("All rows that no filter hides");
      } else return;
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      input.focus();
      input.select();
    });
  }

  // A link that leads to a row that is not shown: show it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target?.closest("tr[hidden], .unmatched")) return;
    reset();
    for (const table of tables) table.show(Infinity);
    target.scrollIntoView();
  }

  addFinder();
  addEventListener("hashchange", reveal);
  addEventListener("wheel", () => { kept = null; }, { passive: true });
  addEventListener("beforeprint", () => { for (const table of tables) if (table.sorted) table.body.append(...table.filed); });
  addEventListener("afterprint", () => { for (const table of tables) if (table.sorted) table.body.append(...table.rows); });
  document.documentElement.dataset.twin = "ready";
})();
