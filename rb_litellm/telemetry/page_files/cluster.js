// State

function showStatus(status) {
  worker = status.worker;
  names = Object.fromEntries(status.tiers.flatMap((tier) => tier.deployments.map((d) => [d.id, d.name || d.id])));
  models = [...new Set(status.tiers.flatMap((tier) => tier.models))].sort(byName);
  tellLink("live", `live, worker ${status.worker}`);
  showTrouble(status);
  showFacts(status);
  showStrategies(status);
  showWorkers(status);
  offerWorkers([status.worker, ...status.peers.map((peer) => peer.worker)]);
  showTiers(status);
  showTraffic(status.recent);
  startWeights(status);
}
function showFacts(status) {
  const exchange = status.exchange || { mode: "none", peers: 0 };
  const predictors = status.predictors;
  const failures = Object.values(status.failures).reduce((sum, n) => sum + n, 0);
  const mode = { redis: ["Redis", "is-good"], degraded: ["Redis unreachable", "is-bad"], memory: ["this worker alone", ""], none: ["starting", ""] }[exchange.mode];
  const late = exchange.mode === "redis" && exchange.age_s != null ? exchange.age_s / (exchange.interval_s || 0.2) : 0;
  const freshness = late > 25 ? "is-bad" : late > 5 ? "is-warn" : mode[1];
  const lastUpdate = exchange.mode === "redis" && exchange.age_s != null ? `last update ${seconds(exchange.age_s)} ago` : "";
  const decided = status.recent.decision_ms;
  const facts = [
    ["Shared load", mode[0], lastUpdate, freshness, "How old the other workers' load is that decisions go by. Amber after 5 exchanges without an answer, red after 25."],
    ["Workers", whole(exchange.peers + 1), `up ${duration(status.up_s)}`, ""],
    ["In flight", whole(status.in_flight), "", "", "Requests that are open on all deployments, of all workers."],
    ["Decisions", whole(status.decisions_total), "by this worker", ""],
    ["Decision time", decided ? decided.p50.toFixed(2) + " ms" : "–", decided ? `p95 ${decided.p95.toFixed(2)} ms` : "", ""],
    ["Proxy's own time", seconds(Object.values(status.proxy_s).reduce((sum, s) => sum + s, 0)), "", "", "What a request waits for before its server is asked: LiteLLM's authentication and hooks, the choice, and the way to the server's call. A mean of this worker; no server's latency contains it."],
    ["Predictor", predictors.length ? predictors.join(", ") : "priors", "", "", "What predicts answer quality and length. Priors go by a model's size, price and configured quality alone."],
    ["Fallback rule", whole(status.recent.reasons["fewest-open"] || 0), "of the last " + status.recent.decisions, status.recent.reasons["fewest-open"] ? "is-warn" : "", "Decisions by the fewest open requests, because the joint decision failed."],
    ["Internal errors", whole(failures), "", failures ? "is-warn" : "", "Errors inside RouteBalance. The requests were routed all the same."],
    ["Release", status.version, `on litellm ${status.litellm}`, ""],
  ];
  $("facts").replaceChildren(...facts.map(([name, value, note, mood, help]) =>
    h("div", {}, h("dt", {}, help ? explained(name, help) : name), h("dd", { className: mood }, value, note ? h("small", {}, " " + note) : null))));
  const notice = $("notice");
  const unread = (status.servers || []).filter((server) => server.failures);
  let text = "";
  if (!status.strategies.length) text = "No router or routing group of this proxy uses routebalance. `routebalance init --config FILE` proposes the lines to add.";
  else if (exchange.mode === "degraded") text = `Redis cannot be used (${exchange.error || "no answer"}): each worker uses its own load and the others' last update.`;
  else if (unread.length) text = `The load of ${whole(unread.length)} of ${whole(status.servers.length)} servers cannot be read: ${unread[0].url} (${unread[0].error || "no answer"}).`;
  notice.hidden = !text;
  if (notice.textContent !== text) notice.textContent = text;
}

function showTrouble(status) {
  const found = status.tiers.flatMap((tier) => tier.deployments).filter((d) => (d.trouble || []).length).sort((a, b) => a.urgency - b.urgency);
  const told = found.slice(0, TROUBLED).map((d) => h("li", {}, h("strong", {}, d.name || d.id), " ", d.trouble.join("; ")));
  if (found.length > TROUBLED) told.push(h("li", {}, `${found.length - TROUBLED} more, marked below`));
  const text = told.map((item) => item.textContent).join("\n"), list = $("trouble");
  $("trouble-part").hidden = !told.length;
  if (list.dataset.text !== text) { list.dataset.text = text; list.replaceChildren(...told); }
}
function showStrategies(status) {
  const told = status.strategies.map((s) => {
    const given = s.arguments.targets ? "targets" : s.arguments.weights || status.default_weights, weights = status.presets[given] || given;
    const text = typeof weights === "object" ? Object.entries(weights).map(([name, value]) => `${name} ${Number(value).toFixed(2)}`).join(", ") : String(weights);
    return h("li", {}, h("strong", {}, s.group || "all other models"), s.models.length ? ` (${s.models.join(", ")})` : "", ` by ${text}`,
      typeof given === "string" && status.presets[given] ? ` (${given})` : "", s.arguments.mode === "shadow" ? h("span", { className: "is-warn" }, ", shadow mode: nothing is routed by it") : "");
  });
  for (const owner of status.targets || []) {
    const held = Object.entries(owner.targets).map(([name, t]) => `${name} ${Number(t.present.toPrecision(3))} of ${t.bound} ${t.word}${t.word === "infeasible" ? `, at best ${Number(t.best.toPrecision(3))}` : ""}`);
    told.push(h("li", {}, h("strong", {}, owner.owner), ` by targets, the most ${owner.maximise}: ${held.join(", ")}`));
  }
  const text = told.map((item) => item.textContent).join("\n"), list = $("strategies");
  if (list.dataset.text !== text) { list.dataset.text = text; list.replaceChildren(...told); }
}

function showWorkers(status) {
  const own = { worker: status.worker, in_flight: status.own_in_flight, age_s: null, up_s: status.up_s };
  const all = [own, ...status.peers.slice(0, 15)];
  $("workers").replaceChildren(...all.map((w) => h("tr", {}, h("th", { scope: "row" }, w.worker, w === own ? h("small", {}, " answers this page") : null),
    h("td", {}, whole(w.in_flight)), h("td", {}, w === own ? "–" : `${seconds(w.age_s)} ago`), h("td", {}, duration(w.up_s)))));
  $("workers-note").textContent = status.peers.length > 15 ? `${status.peers.length - 15} more not shown` : "";
}

// Cluster: tables are made once and their cells updated, so that nothing flickers or loses its place

let laidOut = "";
function showTiers(status) {
  const layout = JSON.stringify(status.tiers.map((tier) => [tier.tier, tier.deployments.map((d) => d.id)]));
  if (layout !== laidOut) {
    laidOut = layout;
    $("tiers").replaceChildren(...status.tiers.map(tierTable));
  }
  const busiest = Math.max(1, ...status.tiers.flatMap((tier) => tier.deployments.map((d) => d.in_flight)));
  status.tiers.forEach((tier, t) => {
    const box = $("tiers").children[t];
    box.querySelector(".tier-h span:last-child").textContent = `${whole(tier.in_flight)} in flight, ${percent(tier.share)} of traffic`;
    tier.deployments.forEach((d, i) => {
      const cells = box.querySelectorAll("tbody tr")[i].children;
      box.querySelectorAll("tbody tr")[i].classList.toggle("in-trouble", Boolean((d.trouble || []).length));
      cells[0].title = d.context_window ? `${d.id}, ${whole(d.context_window)} tokens of context` : d.id;
      cells[1].firstChild.textContent = d.slots ? `${whole(d.in_flight)}/${whole(d.slots)}` : whole(d.in_flight);
      const bar = cells[1].querySelector("i");
      bar.style.setProperty("--v", d.in_flight / (d.slots || busiest));
      bar.style.setProperty("--colour", colour(d.model));
      cells[2].textContent = whole(d.pending_prefill_tokens + d.pending_decode_tokens);
      cells[3].textContent = seconds(d.wait_s);
      cells[4].textContent = seconds(d.ttft_s);
      cells[5].textContent = seconds(d.tpot_s);
      cells[6].textContent = percent(d.share);
    });
  });
  const typical = status.typical;
  $("cluster-note").textContent = typical ? `predictions for ${typical.input_tokens} tokens in, ${typical.output_tokens} out` + (status.left_out ? `; ${status.left_out} more not shown` : "") : "";
}
function tierTable(tier) {
  const heads = [["deployment", ""], ["in flight", "load", "Open requests, of the slots that the server is taken to have. Where it has no known limit, the bar is relative to the busiest."],
    ["pending tokens", "num wide", "Tokens of open requests still to be read and written."], ["wait", "num", "Expected time in the server's queue for a request sent now."],
    ["TTFT", "num", "Time to first token that is expected of a request sent now."], ["per token", "num wide", "Expected time per output token."], ["share", "num", "Share of the last decisions of this worker."]];
  return h("div", { className: "tier" },
    h("div", { className: "tier-h" }, h("h3", {}, swatch(tier.models[0]), tier.models.join(", "), h("small", {}, tier.models.includes(tier.tier) || tier.tier.includes("|") ? "" : tier.tier)), h("span", {}, "")),
    h("table", {},
      h("caption", { className: "unseen" }, `Deployments of ${tier.models.join(", ")}`),
      h("thead", {}, h("tr", {}, ...heads.map(([text, name, help]) => h("th", { scope: "col", className: name }, help ? explained(text, help) : text)))),
      h("tbody", {}, ...tier.deployments.map((d) => h("tr", {},
        h("th", { scope: "row", title: d.id }, d.name || d.id),
        h("td", { className: "load" }, h("span", {}, ""), meter(0, colour(d.model))),
        h("td", { className: "num wide" }), h("td", { className: "num" }), h("td", { className: "num" }),
        h("td", { className: "num wide" }), h("td", { className: "num" }))))));
}
