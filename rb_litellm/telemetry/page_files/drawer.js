// The drawer

function explain(id) {
  const held = decisions.get(id);
  if (!held) return;
  const r = held.record, terms = r.weights ? Object.keys(r.weights) : [];
  const parts = [h("p", {}, sentence(r))];
  if (terms.length) {
    parts.push(h("h3", {}, "Candidates", h("small", {}, `the best ${(r.top || []).length} of ${r.candidates}`)),
      h("div", { className: "legend" }, ...terms.map((name) => h("span", {}, h("span", { className: "swatch", "aria-hidden": "true", style: { "--colour": `var(${TERMS[name] || "--other"})` } }), `${name} × ${points(r.weights[name])}`))),
      ...(r.top || []).map((candidate) => candidateBlock(candidate, r)));
  }
  const facts = [
    ["Weights from", r.weights_from], ["Predictor", r.predictor || "priors"], ["Decided in", `${r.decision_ms} ms`], ["In the proxy", `${r.proxy_ms} ms before the server was asked`],
    ["Load known", r.state_age_s == null ? "own only" : `last update ${seconds(r.state_age_s)} before`], ["Worker", held.worker],
    ["Removed by filters", Object.entries(r.removed || {}).map(([name, n]) => `${name} ${n}`).join(", ")],
    ["Limits relaxed", (r.relaxed || []).join(", ")], ["Tried before", (r.tried || []).join(", ")], ["Call", r.call_id],
  ].filter(([, value]) => value);
  parts.push(h("h3", {}, "Predicted and measured"), measuredTable(r), h("h3", {}, "Circumstances"),
    h("dl", { className: "facts" }, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))),
    h("p", {}, h("a", { href: logOf(r), target: "_blank", rel: "noreferrer" }, "LiteLLM's log of this request"), r.requested ? `: the one of ${clock(r.at_s)}, asked for ${r.requested}.` : "."));
  $("drawer-h").textContent = `Decision of ${clock(r.at_s)}`;
  $("drawer-body").replaceChildren(...parts);
  $("drawer").showModal();
}
// The Admin UI opens the log that the address names; older releases show the list alone.
function logOf(r) {
  return "../ui/logs/?" + new URLSearchParams({ log_id: (r.measured && r.measured.answer_id) || r.call_id });
}
function sentence(r) {
  if (r.reason === "fewest-open") return `An internal error occurred, so the fallback rule chose: ${named(r.deployment)} had the fewest open requests.`;
  if (r.reason === "only-candidate") return `${named(r.deployment)} was the only candidate that LiteLLM's filters had left.`;
  const second = (r.top || []).find((candidate) => candidate.deployment !== r.deployment && candidate.score != null);
  if (!second) return `${named(r.deployment)} had the best score.`;
  const own = r.top.find((candidate) => candidate.deployment === r.deployment), lead = r.score - second.score;
  if (r.reason === "joint" && lead < 0) return `${named(r.deployment)} was the best of the sample of its tier that this worker considered: with several workers, each considers a part.`;
  const gains = own ? Object.keys(own.terms).map((name) => [name, own.terms[name] - second.terms[name]]).sort((a, b) => b[1] - a[1]) : [];
  const why = gains.length && gains[0][1] > 0.0005 ? `, most of all for its ${gains[0][0]}` : "";
  return `${named(r.deployment)} won over ${named(second.deployment)} by ${lead < 0.0005 ? "less than 0.001" : lead.toFixed(3)} points${why}.`;
}
function candidateBlock(c, r) {
  const chosen = c.deployment === r.deployment;
  return h("div", { className: "candidate" },
    h("div", { className: "row" }, h("span", { className: chosen ? "chosen" : "" }, named(c.deployment) + (chosen ? " (chosen)" : "")), h("span", {}, c.score == null ? `left out: ${(c.failed || []).join(", ")}` : points(c.score))),
    h("div", { className: "stack", "aria-hidden": "true" }, ...Object.entries(c.terms).map(([name, value]) => h("i", { style: { "--v": Math.max(value, 0), "--colour": `var(${TERMS[name] || "--other"})` } }))),
    h("div", { className: "legend" }, ...Object.entries(c.terms).map(([name, value]) => h("span", {}, `${name} ${points(value)}`))),
    h("div", { className: "legend" }, `quality ${points(c.quality)}, ${whole(c.output_tokens)} tokens, wait ${seconds(c.wait_s)}, TTFT ${seconds(c.ttft_s)}, ${seconds(c.tpot_s)} per token, E2E ${seconds(c.e2e_s)}, ${usd(c.cost_usd * 1000)} per 1,000 requests`));
}
function measuredTable(r) {
  const p = r.predicted || {}, m = r.measured || {};
  const rows = [["E2E", seconds(p.e2e_s), seconds(m.open_s)], ["TTFT", seconds(p.ttft_s), seconds(m.ttft_s)], ["per token", seconds(p.tpot_s), seconds(m.tpot_s)],
    ["output tokens", whole(p.output_tokens), whole(m.output_tokens)], ["USD per 1,000 requests", r.price === "unknown" ? "unknown" : p.cost_usd == null ? "–" : usd(p.cost_usd * 1000), m.cost_usd == null ? "–" : usd(m.cost_usd * 1000)]];
  if (m.error) rows.push(["error", "", m.error]);
  return h("table", { className: "figures" }, h("caption", { className: "unseen" }, "Predicted and measured figures"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { className: "unseen" }, "Figure")), h("th", { scope: "col" }, "predicted"), h("th", { scope: "col" }, r.measured ? "measured" : "not over yet"))),
    h("tbody", {}, ...rows.map(([name, a, b]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, a), h("td", {}, b)))));
}
