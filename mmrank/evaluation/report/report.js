"use strict";
(() => {
  const PER_PAGE = 25;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const at = (id) => document.getElementById(id);
  const data = read("rows-data");
  const pictures = read("pictures-data");
  const controls = ["task", "before", "after", "sort", "moved", "outcome", "find"];
  const state = { task: "0", sort: "gain", moved: "", outcome: "", find: "", page: 1 };
  let asked = 0;
  let loaded = 0;
  let broken = 0;

  // Everything a collection says goes in as text, never as markup.
  function make(tag, kind, text) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function option(select, value, text) {
    const element = make("option", "", text);
    element.value = value;
    select.append(element);
  }

  const task = () => data.tasks[Number(state.task)];
  const side = (which) => (state[which] === "-1" ? null : task().sides[Number(state[which])]);

  // ------------------------------------------------------------------------------------------- ranks and changes
  // A rank is a number; null: the answer is not in the list; 0: nobody knows an answer.
  function deepest(sides) {
    let most = 1;
    for (const each of sides) for (const rank of each.ranks) if (rank > most) most = rank;
    return most + 1;
  }

  function change(row, before, after, behind) {
    if (!before || before.ranks[row] === 0 || after.ranks[row] === 0) return 0;
    return Math.log2((before.ranks[row] ?? behind) / (after.ranks[row] ?? behind));
  }

  function rankText(one, row) {
    const rank = one.ranks[row];
    if (rank === 0) return "?";
    if (rank === null) return one.lengths[row] ? `>${one.lengths[row]}` : "none";
    return String(rank);
  }

  // ---------------------------------------------------------------------------------------------- which, in what order
  const told = new Map();
  const byName = new Intl.Collator("en", { numeric: true });

  function words(query) {
    if (!told.has(query)) {
      const answers = query.answers.flatMap((item) => [data.items[item].id, data.items[item].text]);
      told.set(query, [query.id, query.text, ...query.turns, ...query.labels, ...answers].join(" ").toLowerCase());
    }
    return told.get(query);
  }

  function chosen() {
    const here = task();
    const before = side("before");
    const after = side("after");
    const behind = deepest(before ? [before, after] : [after]);
    const wanted = state.find.trim().toLowerCase();
    let rows = here.queries.map((query, row) => ({ query, row, change: change(row, before, after, behind) }));
    if (wanted) rows = rows.filter(({ query }) => words(query).includes(wanted));
    if (state.outcome) rows = rows.filter(({ row }) => after.outcomes[row] === state.outcome);
    if (state.moved === "gained") rows = rows.filter((each) => each.change > 0);
    if (state.moved === "lost") rows = rows.filter((each) => each.change < 0);
    if (state.moved === "same") rows = rows.filter((each) => each.change === 0);
    const place = ({ row }) => after.ranks[row] ?? behind;
    const orders = {
      gain: (a, b) => b.change - a.change,
      loss: (a, b) => a.change - b.change,
      rank: (a, b) => place(a) - place(b),
      worst: (a, b) => place(b) - place(a),
      id: (a, b) => byName.compare(a.query.id, b.query.id),
      order: () => 0,
    };
    return rows.sort((a, b) => orders[state.sort](a, b) || here.order[a.row] - here.order[b.row]);
  }

  // ---------------------------------------------------------------------------------------------------------- cells
  function placeholder(kind, text, cause) {
    const nothing = make("span", "nothing", text);
    nothing.append(make("b", "", kind));
    if (cause) nothing.title = cause;
    return nothing;
  }

  // Names of a collection differ at their ends: the middle gives way.
  function short(name, length) {
    const tail = Math.floor((length - 1) / 2);
    return name.length <= length ? name : `${name.slice(0, length - 1 - tail)}…${name.slice(-tail)}`;
  }

  function picture(held, kind, name) {
    if (held.picture === undefined) return placeholder(`no ${kind}`, "", held.cause);
    const image = make("img");
    image.alt = `${kind} ${name}`;
    asked += 1;
    image.addEventListener("load", () => {
      if (image.naturalWidth > 0) loaded += 1;
      document.body.dataset.loaded = String(loaded);
    });
    image.addEventListener("error", () => {
      broken += 1;
      document.body.dataset.broken = String(broken);
      image.replaceWith(placeholder(`no ${kind}`, "", "the browser cannot show this thumbnail"));
    });
    image.src = `data:image/jpeg;base64,${pictures[held.picture]}`;
    return image;
  }

  function cell(number, rank, right) {
    const item = data.items[number];
    const box = make("figure", `cell ${item.kind}${right ? " right" : ""}`);
    const told = [item.id, item.file, item.text, item.cause].filter(Boolean).join("\n");
    box.title = told;
    const well = make("div", "well");
    if (item.kind === "text") well.append(make("q", "", item.text || item.id));
    else well.append(picture(item, item.kind, item.id));
    if (rank) well.append(make("span", "rank", rank));
    if (right) {
      const mark = make("span", "mark", "✓");
      mark.title = "an answer";
      well.append(mark);
    }
    box.append(well);
    if (item.kind !== "text") box.append(make("figcaption", "", short(item.id, 14)));
    return box;
  }

  function strip(one, row, name) {
    const part = make("section", "strip");
    const heading = make("h4", "", name);
    heading.append(make("b", "", ` rank ${rankText(one, row)}`));
    part.append(heading);
    const texts = one.tops[row].length && one.tops[row].every((item) => data.items[item].kind === "text");
    const cells = make("div", texts ? "cells texts" : "cells");
    const right = new Set(one.right[row]);
    one.tops[row].forEach((item, place) => cells.append(cell(item, place + 1, right.has(place))));
    if (!one.tops[row].length) cells.append(make("p", "none", "an empty list"));
    const hit = one.hits[row];
    if (hit >= 0 && !right.size) {
      if (!texts) cells.append(make("span", "gap", "…"));
      cells.append(cell(hit, rankText(one, row), true));
    }
    part.append(cells);
    return part;
  }

  function question(query) {
    const part = make("div", "question");
    if (query.pictures.length) {
      const shown = make("div", "shown");
      query.pictures.forEach((held) => {
        const well = make("div", "well");
        well.append(picture(held, "reference", query.id));
        shown.append(well);
      });
      part.append(shown);
    }
    const said = make("div", "said");
    if (query.text) said.append(make("p", "asked", query.text));
    for (const turn of query.turns) said.append(make("p", "turn", turn));
    for (const label of query.labels) said.append(make("span", "label", label));
    said.querySelectorAll("p").forEach((each) => { each.dir = "auto"; });
    part.append(said);
    return part;
  }

  function answers(query) {
    const part = make("section", "strip answers");
    const many = query.answers.length + query.more > 1;
    part.append(make("h4", "", many ? `Answers (${query.answers.length + query.more})` : "Answer"));
    const cells = make("div", "cells");
    query.answers.forEach((item) => cells.append(cell(item, "", true)));
    if (query.more) cells.append(make("span", "gap", `+${query.more}`));
    part.append(cells);
    return part;
  }

  function badge(row, moved, before, after) {
    const kind = moved > 0 ? "better" : moved < 0 ? "worse" : "same";
    const text = before ? `${rankText(before, row)} → ${rankText(after, row)}` : `rank ${rankText(after, row)}`;
    const mark = make("span", `moved ${kind}`, text);
    mark.title = moved ? `${moved > 0 ? "a gain" : "a loss"} of ${Math.abs(moved).toFixed(1)} halvings` : "the same rank";
    return mark;
  }

  function card({ query, row, change: moved }) {
    const before = side("before");
    const after = side("after");
    const element = make("li", "row");
    element.dataset.id = query.id;
    element.dataset.change = moved.toFixed(4);
    const top = make("header");
    top.append(badge(row, moved, before, after), make("code", "", query.id));
    const outcome = after.outcomes[row];
    if (outcome) top.append(make("span", `outcome ${outcome}`, outcome.replace("_", " ")));
    element.append(top);
    const left = make("div", "left");
    left.append(question(query));
    if (query.answers.length) left.append(answers(query));
    const right = make("div", "lists");
    if (before) right.append(strip(before, row, before.name));
    right.append(strip(after, row, after.name));
    const troubles = [...(before ? before.troubles[row] : []), ...after.troubles[row]];
    for (const trouble of troubles) right.append(make("p", "trouble", trouble));
    const body = make("div", "body");
    body.append(left, right);
    element.append(body);
    return element;
  }

  // ---------------------------------------------------------------------------------------------------------- the page
  function fillSides() {
    const sides = task().sides;
    for (const which of ["before", "after"]) {
      at(which).replaceChildren();
      if (which === "before") option(at(which), "-1", "nothing");
      sides.forEach((each, number) => option(at(which), String(number), each.name));
      const known = [...at(which).options].map((each) => each.value);
      if (!known.includes(state[which])) state[which] = String(task()[which]);
    }
  }

  function fillOutcomes() {
    const found = new Map();
    for (const outcome of side("after").outcomes) if (outcome) found.set(outcome, (found.get(outcome) ?? 0) + 1);
    at("outcome").replaceChildren();
    option(at("outcome"), "", "any");
    for (const [outcome, number] of found) option(at("outcome"), outcome, `${outcome.replace("_", " ")} (${number})`);
    at("outcome-label").hidden = found.size === 0;
    if (!found.has(state.outcome)) state.outcome = "";
  }

  function show() {
    fillSides();
    fillOutcomes();
    for (const name of controls) if (at(name).value !== state[name]) at(name).value = state[name];
    at("said").textContent = task().said;
    at("unread").textContent = data.unread;
    const rows = chosen();
    const pages = Math.max(1, Math.ceil(rows.length / PER_PAGE));
    state.page = Math.min(Math.max(1, Number(state.page) || 1), pages);
    const start = (state.page - 1) * PER_PAGE;
    at("list").replaceChildren(...rows.slice(start, start + PER_PAGE).map(card));
    at("counted").textContent = rows.length === 1 ? "1 query" : `${rows.length.toLocaleString("en")} queries`;
    document.querySelectorAll("[data-page]").forEach((each) => { each.textContent = `page ${state.page} of ${pages}`; });
    document.querySelectorAll("[data-step]").forEach((each) => {
      each.disabled = each.dataset.step === "-1" ? state.page === 1 : state.page === pages;
    });
    document.querySelectorAll(".pager").forEach((each) => { each.hidden = pages === 1; });
    document.body.dataset.pictures = String(asked);
  }

  function remember() {
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value !== "" && value !== undefined) parts.set(name, value);
    // Some browsers refuse to touch the history of a page opened from a file: the view works without it.
    try { history.replaceState(null, "", `#${parts}`); } catch { /* nothing is lost but the link to this view */ }
  }

  function recall() {
    const parts = new URLSearchParams(location.hash.slice(1));
    for (const [name, value] of parts) if (controls.includes(name) || name === "page") state[name] = value;
    if (!data.tasks[Number(state.task)]) state.task = "0";
    for (const name of ["sort", "moved"]) {
      const allowed = [...at(name).options].map((each) => each.value);
      if (!allowed.includes(state[name])) state[name] = allowed[0];
    }
  }

  data.tasks.forEach((each, number) => option(at("task"), String(number), each.name || "all"));
  at("task-label").hidden = data.tasks.length === 1;
  for (const name of controls) {
    at(name).addEventListener(name === "find" ? "input" : "change", () => {
      state[name] = at(name).value;
      state.page = 1;
      if (name === "task") { state.before = state.after = ""; }
      show();
      remember();
    });
  }
  document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => {
    state.page += Number(button.dataset.step);
    show();
    remember();
    at("queries").scrollIntoView();
  }));
  window.addEventListener("hashchange", () => { recall(); show(); });
  document.body.dataset.loaded = "0";
  recall();
  show();
  document.body.dataset.ready = "true";
})();
