// Other weights

const sliders = ["quality", "latency", "cost"].map((name) => [name, $("w-" + name), $("o-" + name)]);
function startWeights(status) {
  presets = status.presets;
  if (!$("presets").children.length) $("presets").append(...Object.entries(presets).map(([name, w]) =>
    h("button", { type: "button", onclick: () => { setWeights(w); weighAnew(0); } }, name)));
  if (weightsKnown || !status.strategies.length) return;
  weightsKnown = true;
  const given = status.strategies[0].arguments.weights || status.default_weights;
  setWeights(presets[given] || given);
}
function setWeights(w) {
  for (const [name, slider] of sliders) slider.value = Math.round((w[name] || 0) * 100);
  showWeights();
}
function weights() {
  const raw = sliders.map(([, slider]) => Number(slider.value)), sum = raw.reduce((a, b) => a + b, 0);
  return sum ? raw.map((value) => value / sum) : null;
}
function showWeights() {
  const shares = weights();
  sliders.forEach(([, , output], i) => { output.textContent = shares ? percent(Math.round(shares[i] * 100) / 100) : "–"; });
  for (const button of $("presets").children) {
    const preset = presets[button.textContent];
    const same = shares && sliders.every(([name], i) => Math.abs(preset[name] - shares[i]) < 0.006);
    button.setAttribute("aria-pressed", String(Boolean(same)));
  }
}
let timer = 0, asking = null;
function weighAnew(delay) {
  touched = true;
  clearTimeout(timer);
  timer = setTimeout(askWhatIf, delay);
}
async function askWhatIf() {
  const shares = weights();
  if (!shares) { $("whatif-note").textContent = "At least one weight must be greater than zero."; $("whatif").hidden = true; return; }
  if (asking) asking.abort();
  asking = new AbortController();
  $("whatif-busy").hidden = false;
  try {
    const query = new URLSearchParams({ quality: shares[0].toFixed(4), latency: shares[1].toFixed(4), cost: shares[2].toFixed(4), last: "200" });
    showWhatIf(await (await ask("whatif?" + query, asking.signal)).json());
  } catch (error) {
    if (error.name !== "AbortError" && !refused(error)) $("whatif-note").textContent = "The proxy did not answer.";
    if (error.name === "AbortError") return;
  }
  $("whatif-busy").hidden = true;
  asking = null;
}
function showWhatIf(told) {
  if (!told.decisions) { $("whatif-note").textContent = "There is no decision to weigh anew yet."; $("whatif").hidden = true; return; }
  $("whatif-note").textContent = `${told.changed} of the last ${told.decisions} decisions of worker ${told.worker} would have gone elsewhere, each taken by itself.`;
  const names = [...new Set([...Object.keys(told.now.share), ...Object.keys(told.then.share)])].sort(byName);
  const rows = [["quality", points, "quality"], ["E2E", seconds, "e2e_s"], ["USD per 1,000 requests", usd, "cost_usd_per_1k"]]
    .map(([name, show, field]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, show(told.now[field])), h("td", {}, show(told.then[field]), versus(told.then, told.now, field))));
  rows.push(...names.map((name) => h("tr", {}, h("th", { scope: "row" }, swatch(name), name), h("td", {}, percent(told.now.share[name] || 0)), h("td", {}, percent(told.then.share[name] || 0)))));
  $("whatif-rows").replaceChildren(...rows);
  $("whatif").hidden = false;
}
for (const [, slider] of sliders) slider.addEventListener("input", () => { showWeights(); weighAnew(200); });
setInterval(() => { if (touched && !asking && !document.hidden && !$("signin").open) askWhatIf(); }, 10000);
