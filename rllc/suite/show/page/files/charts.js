// Puts rows, colours and widths into the charts' specifications, and draws those in sight.
"use strict";

const FIGURES = { forest: forestRows, ranking: rankingRows, curves: curveRows, probes: probeRows, maps: mapRows };
const waiting = new Set(); // charts that are out of date and not yet in sight
const inSight = new Set();
let turn = {}; // of each chart the newest drawing: an older one that ends later is dropped

const dark = () => document.documentElement.dataset.theme === "dark";
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const copy = (value) => JSON.parse(JSON.stringify(value));
const place = (id) => $(`#chart-${id}`);

function prepareCharts() {
  for (const select of $$("select[data-task]")) {
    for (const task of tasks.values()) select.append(element("option", task.title, { value: task.name }));
    select.addEventListener("change", () => outdated(select.dataset.task));
  }
  for (const one of $$("#quantity, #range, #seeds")) one.addEventListener("change", () => outdated("curves"));
  for (const one of $$("#probe, #probe-seeds")) one.addEventListener("change", () => outdated("probes"));
  addEventListener("steps", () => { outdated("curves"); outdated("probes"); });
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const id = entry.target.id.slice(6);
      if (entry.isIntersecting) inSight.add(id); else inSight.delete(id);
      if (entry.isIntersecting && waiting.has(id)) outdated(id);
    }
  }, { rootMargin: "300px" });
  for (const id of Object.keys(FIGURES)) if (place(id)) watch.observe(place(id));
  let width = innerWidth, timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; drawCharts(); } }, 200);
  });
}

function drawCharts() {
  if (state.task) for (const select of $$("select[data-task]")) select.value = state.task;
  for (const id of Object.keys(FIGURES)) outdated(id);
}

function outdated(id) {
  if (!place(id)) return;
  waiting.add(id);
  if (inSight.has(id)) draw(id);
}

async function draw(id) {
  waiting.delete(id);
  const mine = turn[id] = (turn[id] ?? 0) + 1;
  const spec = copy(DATA.charts[id]);
  const rows = FIGURES[id](spec);
  if (rows === null) return; // its data are on the way
  if (!rows.length) {
    place(id).replaceChildren(element("p", "Nothing to show for this choice.", { class: "note" }));
    return;
  }
  spec.data = { values: rows };
  const there = document.createElement("div");
  place(id).append(there); // a drawing needs a place to be measured in
  const config = {
    background: "transparent", font: "system-ui, DejaVu Sans, sans-serif",
    axis: { labelColor: css("--text"), titleColor: css("--faint"), gridColor: css("--line"), domainColor: css("--line"), tickColor: css("--line"), labelLimit: 190, titleFontWeight: 400, labelFontSize: 11, titleFontSize: 12 },
    legend: { labelColor: css("--text"), titleColor: css("--faint"), labelLimit: 220, labelFontSize: 12 },
    header: { labelColor: css("--text"), labelFontSize: 13, labelFontWeight: 600 },
    rule: { color: css("--faint") }, view: { stroke: null }, concat: { spacing: 18 }, facet: { spacing: 18 },
  };
  const result = await vegaEmbed(there, spec, {
    renderer: "svg", config, tooltip: { theme: dark() ? "dark" : "light" },
    actions: { export: true, source: false, compiled: false, editor: false },
  });
  if (turn[id] !== mine) { result.finalize(); there.remove(); return; }
  for (const old of [...place(id).children]) if (old !== there) old.remove();
  place(id).dataset.drawn = String(mine);
}

const room = () => Math.max(220, place("forest").clientWidth - 8);
const columns = (least, most) => Math.max(1, Math.min(most, Math.floor(room() / least)));
const shownOf = (labels) => DATA.optimizers.filter((one) => state.shown.has(one.label) && labels.includes(one.label));
const colour = (one) => (dark() ? one.dark : one.light);

function panels(spec, count, least, beside, most = 4) {
  spec.columns = Math.min(columns(least, most), Math.max(1, count));
  spec.spec.width = Math.max(90, Math.floor(room() / spec.columns) - beside);
}

function forestRows(spec) {
  const rows = visible().filter((cell) => cell.gain !== undefined && cell.gain !== null).map((cell) => ({
    name: optimizers.get(cell.optimizer).name, gain: cell.gain, from: cell.gain_low, to: cell.gain_high,
    n: cell.pairs, against: optimizers.get(cell.against)?.name, word: word(cell.gain_low, cell.gain_high),
    panel: tasks.get(cell.task).title,
  }));
  const there = [...tasks.values()].filter((task) => rows.some((row) => row.panel === task.title));
  spec.facet.sort = there.map((task) => task.title);
  panels(spec, there.length, 430, 190, 2);
  const units = [...new Set(there.map((task) => task.unit || task.metric))];
  axisTitle(spec, `better by (${units.join(" or ")})`);
  return cut(rows);
}

function axisTitle(spec, title) {
  for (const layer of spec.spec.layer) {
    layer.encoding.x.title = title;
    layer.encoding.color.legend.columns = columns(170, 4);
    if (layer.encoding.shape) layer.encoding.shape.legend.columns = columns(170, 4);
  }
}

function rankingRows(spec) {
  const here = DATA.rankings.filter((one) => one.reading === state.reading && one.rows.length);
  $("#ranking-note").textContent = here.length
    ? `Over ${here.map((one) => one.over).join("; and over ")}: ` + (DATA.saved === "fewer errors" ? "how many fewer errors" : "how much nearer to a perfect value") +
      " than the best baseline, in percent; interquartile mean over runs, 95 % interval from resampling seeds. Optimizers that lack a task, and tasks with short grids, are left out." +
      (here.some(hasUntuned) ? " “Untuned”, in the table, is the same score at each optimizer’s default point: of other seeds, and against the mean of the same tuned baseline." : "")
    : "No ranking: it needs a task with all baselines, none of them with a short grid.";
  const rows = here.flatMap((one) => one.rows.filter((row) => state.shown.has(row.optimizer)).map((row) => ({
    ...row, name: optimizers.get(row.optimizer).name, word: word(row.low, row.high), panel: over(one),
    from: row.low, to: row.high, against: "the best baseline",
  })));
  spec.facet.sort = here.map(over);
  rankingTable(here);
  panels(spec, here.length, 430, 190, 2);
  axisTitle(spec, `${DATA.saved} (%)`);
  return cut(rows);
}

// Intervals within a panel's range: one of two runs that diverged would hide all the others.
function cut(rows) {
  for (const panel of new Set(rows.map((row) => row.panel))) {
    const here = rows.filter((row) => row.panel === panel);
    const ends = here.map((row) => Math.max(...[row.from, row.gain, row.to].map((x) => Math.abs(x ?? 0)))).sort((a, b) => a - b);
    const far = 4 * ends[Math.floor(ends.length / 2)];
    const inside = (x) => Math.max(-far, Math.min(far, x));
    for (const row of here) {
      row.low = inside(row.from ?? row.gain);
      row.high = inside(row.to ?? row.gain);
      const lost = [row.from, row.gain, row.to].some((x) => x !== null && Math.abs(x) > far);
      row.at = inside(row.gain);
      if (lost) row.name += " …";
    }
  }
  return rows;
}

const over = (one) => (one.tasks > 3 ? `${one.tasks} tasks` : one.over);

const hasUntuned = (one) => one.rows.some((row) => row.untuned !== undefined);

function rankingTable(rankings) {
  const table = $("#ranking-table");
  table.replaceChildren(...rankings.map((one) => {
    const part = element("table");
    part.append(element("caption", `Over ${one.over}`));
    const head = element("thead"), body = element("tbody"), titles = element("tr");
    const untuned = hasUntuned(one) ? ["untuned (%)", "its interval"] : [];
    for (const title of ["optimizer", `${DATA.saved} (%)`, "95 % interval", ...untuned, "runs"]) titles.append(element("th", title, { scope: "col" }));
    head.append(titles);
    for (const row of one.rows) {
      const line = element("tr");
      line.append(element("th", optimizers.get(row.optimizer).name, { scope: "row" }), element("td", number(row.gain, ".1f", true)),
        element("td", range(row.low, row.high, ".1f", true)));
      if (untuned.length) line.append(element("td", number(row.untuned.gain, ".1f", true)), element("td", range(row.untuned.low, row.untuned.high, ".1f", true)));
      line.append(element("td", row.n));
      body.append(line);
    }
    part.append(head, body);
    return part;
  }));
}

// The steps of the task that a chart shows; null while their script is being loaded.
function steps(id) {
  const name = $(`select[data-task=${id}]`).value;
  if (!name) return {};
  if (window.STEPS?.[name]) return window.STEPS[name];
  const file = tasks.get(name).file;
  if (!$(`script[src="${file}"]`)) document.body.append(element("script", "", { src: file }));
  return null;
}

function options(select, names) {
  const old = select.value;
  select.replaceChildren(...names.map((name) => element("option", name, { value: name })));
  if (names.includes(old)) select.value = old;
}

function lineRows(line, more, seeds) {
  const rows = line.steps.map((step, i) => ({ ...more, step, seed: null, value: line.mean[i], low: line.low[i], high: line.high[i] }));
  if (seeds) for (const [seed, values] of Object.entries(line.seeds)) {
    line.steps.forEach((step, i) => rows.push({ ...more, step, seed, value: values[i] }));
  }
  return rows.filter((row) => row.value !== null);
}

function curveRows(spec) {
  const found = steps("curves");
  if (found === null) return null;
  const there = shownOf(Object.keys(found.curves ?? {}));
  options($("#quantity"), [...new Set(there.flatMap((one) => Object.keys(found.curves[one.label])))]);
  const quantity = $("#quantity").value;
  const rows = there.flatMap((one) => {
    const line = found.curves[one.label][quantity];
    return line ? lineRows(line, { name: one.name }, $("#seeds").checked) : [];
  });
  if (!$("#seeds").checked) spec.layer.pop();
  const domain = $("#range").value === "late" ? { domain: late(rows) } : {};
  for (const layer of spec.layer) {
    for (const key of ["color", "strokeDash"]) {
      const channel = layer.encoding[key];
      if (!channel) continue;
      channel.scale.domain = there.map((one) => one.name);
      channel.scale.range = there.map((one) => (key === "color" ? colour(one) : one.dash));
      if (channel.legend) channel.legend.columns = columns(210, 4);
    }
    layer.encoding.y.title = quantity;
    layer.encoding.y.scale = { zero: false, ...domain };
  }
  spec.width = room() - 90;
  return rows;
}

// From the lowest to the highest mean after a seventh of training.
function late(rows) {
  const from = Math.max(...rows.map((row) => row.step)) / 7;
  const values = rows.filter((row) => row.seed === null && row.step >= from).map((row) => row.value).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  const [low, high] = [values[Math.floor(values.length * 0.02)], values.at(-1 - Math.floor(values.length * 0.02))];
  const margin = 0.08 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

function probeRows(spec) {
  const found = steps("probes");
  if (found === null) return null;
  options($("#probe"), Object.keys(found.probes ?? {}));
  const lines = found.probes?.[$("#probe").value] ?? {};
  const there = shownOf(Object.keys(lines));
  spec.facet.sort = there.map((one) => one.name);
  if (!$("#probe-seeds").checked) spec.spec.layer.pop();
  panels(spec, there.length, 300, 60, 3);
  return there.flatMap((one) => lines[one.label].flatMap((line, k) =>
    lineRows(line, { panel: one.name, component: String(k + 1) }, $("#probe-seeds").checked)));
}

function mapRows(spec) {
  const name = $("select[data-task=maps]").value;
  const task = tasks.get(name);
  const share = task?.unit === "points";
  $("#maps-note").textContent = "Each square is a point of a tuning grid, coloured by how far its validation value is from the optimizer’s own best (" +
    (share ? "points" : "percent") + "). Frame: chosen by this value, where grids were screened after longer runs than those shown. ×: diverged.";
  const rows = (DATA.maps[name] ?? []).filter((row) => state.shown.has(row.optimizer));
  const there = shownOf(rows.map((row) => row.optimizer));
  const title = (one) => one.name + (rows.find((row) => row.optimizer === one.label).up ? ` ↑ ${rows.find((row) => row.optimizer === one.label).up}` : "");
  const titles = new Map(there.map((one) => [one.label, title(one)]));
  spec.facet.sort = [...titles.values()];
  spec.spec.layer[0].encoding.color.legend.columns = columns(95, 8);
  spec.spec.layer[0].encoding.color.title = `worse than the best (${share ? "points" : "%"})`;
  const levels = DATA.levels[share ? "points" : "percent"];
  const bands = levels.map((level, i) => (i ? `${levels[i - 1]} to ${level}` : `below ${level}`)).concat(`${levels.at(-1)} or more`);
  const band = (excess) => (excess === null ? null : bands[levels.filter((level) => excess >= level).length]);
  spec.spec.layer[0].encoding.color.scale.domain = bands;
  panels(spec, there.length, 260, 70, 4);
  return rows.map((row) => ({ ...row, band: band(row.excess), panel: titles.get(row.optimizer) }));
}
