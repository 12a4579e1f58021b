// Traffic

function showTraffic(recent) {
  $("traffic-note").textContent = recent.decisions ? `last ${recent.decisions} decisions of this worker, ${duration(recent.span_s)}` : "no decision yet";
  $("shares").replaceChildren(...Object.entries(recent.share).map(([model, share]) => h("li", {},
    h("span", { className: "name", title: model }, swatch(model), model), meter(share, colour(model)), h("span", { className: "num" }, percent(share)))));
  const measured = recent.measured;
  const rows = [["chosen, predicted", recent.chosen, null], ["a random candidate", recent.random, recent.chosen]];
  if (recent.baseline) rows.push([`baseline ${recent.baseline.model}`, recent.baseline.decisions ? recent.baseline : null, recent.chosen]);
  const table = rows.map(([name, f, against]) => h("tr", {}, h("th", { scope: "row" }, name),
    h("td", {}, f ? points(f.quality) : "–", versus(f, against, "quality")),
    h("td", {}, f ? seconds(f.e2e_s) : "–", versus(f, against, "e2e_s")),
    h("td", {}, f ? usd(f.cost_usd_per_1k) : "–", versus(f, against, "cost_usd_per_1k"))));
  table.push(h("tr", {}, h("th", { scope: "row" }, `measured, ${measured.answered} answered` + (measured.failed ? `, ${measured.failed} failed` : "")),
    h("td", {}, "–"), h("td", {}, measured.e2e_s ? seconds(measured.e2e_s.mean) : "–"), h("td", {}, usd(measured.cost_usd_per_1k))));
  $("figures").replaceChildren(...table);
}
function versus(figures, chosen, name) {
  if (!figures || !chosen || !chosen[name]) return null;
  const change = figures[name] / chosen[name] - 1;
  if (Math.abs(change) < 0.005) return null;
  return h("small", {}, ` ${change >= 0 ? "+" : "−"}${Math.abs(change * 100).toFixed(0)}%`);
}

// Decisions

let paused = false, waiting = [];
function showDecisions(news) {
  if (paused) {
    waiting = [...waiting, news].slice(-SHOWN);
    $("pause").textContent = `Resume (${waiting.reduce((sum, one) => sum + one.decisions.length, 0)} more)`;
    return;
  }
  const body = $("decisions");
  for (const record of [...news.decisions].reverse()) {
    const id = `${record.call_id}/${record.attempt}`, held = decisions.get(id);
    if (held && Boolean(held.record.measured) === Boolean(record.measured)) continue;
    const row = decisionRow(record, news.worker, id);
    decisions.set(id, { record, worker: news.worker, row });
    if (held) {
      const focused = held.row.contains(document.activeElement);
      row.dataset.at = record.at_s;
      held.row.replaceWith(row);
      if (focused) row.querySelector("button").focus();
    } else {
      row.classList.add("is-new");
      row.dataset.at = record.at_s;
      body.insertBefore(row, [...body.children].find((other) => Number(other.dataset.at) <= record.at_s) || null);
    }
  }
  while (body.children.length > SHOWN) body.lastChild.remove();
  for (const [id, held] of decisions) if (!held.row.isConnected) decisions.delete(id);
  const workers = new Set([...decisions.values()].map((held) => held.worker));
  filterDecisions();
  $("decisions-note").textContent = workers.size === 1 ? `of worker ${news.worker}` : `of ${workers.size} workers`;
}
// Workers that are alive, and the one that is chosen.
function offerWorkers(workers) {
  const choice = $("by-worker"), offered = [...choice.options].slice(1);
  for (const option of offered) if (!workers.includes(option.value) && !option.selected) option.remove();
  const known = offered.map((option) => option.value);
  choice.append(...workers.filter((name) => !known.includes(name)).map((name) => h("option", { value: name }, name)));
}
// Each worker knows its own decisions alone. A new connection goes to any of them, so all are met in time.
async function visitAnother() {
  if (document.hidden || !reading) return;
  try {
    const status = await (await ask("status?decisions=" + SHOWN)).json();
    if (status.worker !== worker) showDecisions({ worker: status.worker, decisions: status.latest });
  } catch { /* the stream tells of what is wrong */ }
}
setInterval(visitAnother, VISIT_MS);
function filterDecisions() {
  const wanted = $("filter").value.trim().toLowerCase(), by = $("by-worker").value;
  let shown = 0;
  for (const { record, row, worker: its } of decisions.values()) {
    const text = [record.requested, record.model, record.deployment, named(record.deployment), record.reason, record.call_id, record.measured && record.measured.error ? "failed " + record.measured.error : ""].join(" ").toLowerCase();
    row.hidden = !(text.includes(wanted) && (!by || by === its));
    shown += !row.hidden;
  }
  $("no-decisions").hidden = shown > 0;
  const met = !by || [...decisions.values()].some((held) => held.worker === by);
  $("no-decisions").textContent = !decisions.size ? "No decision yet." : met ? "No decision passes the filter." : "No decision of this worker yet: they come when it answers this page.";
}
for (const id of ["filter", "by-worker"]) $(id).addEventListener("input", filterDecisions);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Resume" : "Pause";
  if (!paused) waiting.splice(0).forEach(showDecisions);
});
function decisionRow(r, by, id) {
  const predicted = r.predicted || {}, measured = r.measured;
  const outcome = !measured ? h("span", {}, "open") : measured.error ? h("span", { className: "is-bad", title: measured.error }, "failed") : seconds(measured.open_s);
  return h("tr", {},
    h("td", { className: "when" }, clock(r.at_s)),
    h("td", { className: "wide" }, r.requested || "", r.attempt ? ` (attempt ${r.attempt + 1})` : ""),
    h("td", {}, swatch(r.model), named(r.deployment), r.reason === "joint" ? "" : h("small", { className: r.reason === "fewest-open" ? "is-warn" : "" }, ` ${r.reason}`)),
    h("td", { className: "num wide" }, points(r.score)), h("td", { className: "num wide" }, points(predicted.quality)),
    h("td", { className: "num" }, seconds(predicted.e2e_s)), h("td", { className: "num" }, outcome),
    h("td", { className: "num wide" }, r.price === "unknown" ? "unknown" : predicted.cost_usd == null ? "–" : usd(predicted.cost_usd * 1000)),
    h("td", { className: "num" }, h("button", { type: "button", "aria-label": `Explain the decision of ${clock(r.at_s)} for ${named(r.deployment)}`, onclick: () => explain(id) }, "why")));
}
