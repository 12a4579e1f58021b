// The status page. Everything shown is set as text, never as markup: names come from configurations and clients.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const TERMS = { quality: "--quality", latency: "--latency", cost: "--cost" };
  const SHOWN = 40;
  const decisions = new Map();
  let models = [], worker = "", presets = {}, touched = false, weightsKnown = false;

  // Elements and figures

  function h(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
      else if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }
  const seconds = (s) => s == null ? "–" : s === 0 ? "0" : s < 0.0095 ? (s * 1000).toFixed(1) + " ms" : s < 0.9995 ? Math.round(s * 1000) + " ms" : s < 99.5 ? s.toFixed(s < 9.995 ? 2 : 1) + " s" : Math.round(s) + " s";
  const percent = (share) => share == null ? "–" : (share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0) + "%";
  const usd = (amount) => amount == null ? "–" : "$" + (amount >= 0.995 ? amount.toFixed(2) : amount >= 0.00995 ? amount.toFixed(3) : Number(amount.toPrecision(2)).toString());
  const points = (value) => value == null ? "–" : value.toFixed(3);
  const whole = (value) => value == null ? "–" : Math.round(value).toLocaleString("en");
  const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
  const duration = (s) => s < 90 ? Math.round(s) + " s" : s < 5400 ? Math.round(s / 60) + " min" : s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";

  function colour(model) {
    const known = models.indexOf(model);
    return `var(--m${known < 0 ? 7 : known % 8})`;
  }
  const byName = (a, b) => a.localeCompare(b, "en", { numeric: true });
  const swatch = (model) => h("span", { className: "swatch", "aria-hidden": "true", style: { "--colour": colour(model) } });
  const meter = (share, shade) => h("span", { className: "meter", "aria-hidden": "true" }, h("i", { style: { "--v": Math.min(Math.max(share, 0), 1), "--colour": shade } }));

  // Asking the proxy

  function headers() {
    let key = null;
    try { key = sessionStorage.getItem("routebalance-key"); } catch { /* a browser that keeps nothing */ }
    return key ? { Authorization: "Bearer " + key } : {};
  }
  async function ask(path, signal) {
    const response = await fetch(path, { headers: headers(), credentials: "same-origin", cache: "no-store", signal });
    if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status}`), { status: response.status });
    return response;
  }

  // The stream: read by hand, for EventSource sends no key

  let reading = null;
  async function follow() {
    if (reading || document.hidden) return;
    reading = new AbortController();
    let wait = 0;
    while (!reading.signal.aborted) {
      try {
        const response = await ask("events", reading.signal);
        wait = 0;
        await consume(response.body);
      } catch (error) {
        if (reading.signal.aborted) break;
        if (refused(error)) { reading = null; return; }
        wait = Math.min(Math.max(wait * 2, 1000), 10000);
        tellLink("lost", "connection lost, trying again");
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    reading = null;
    if (!document.hidden) follow();
  }
  async function consume(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const name = /^event: (.*)$/m.exec(part), data = /^data: (.*)$/m.exec(part);
        if (name && data) receive(name[1], JSON.parse(data[1]));
      }
    }
  }
  // A proxy without Prisma's package answers a missing key with 500: that is LiteLLM's way and no error.
  function refused(error) {
    const known = error.status === 401 || error.status === 403 || error.status === 400 || (error.status === 500 && !Object.keys(headers()).length);
    if (known) signIn(error.status);
    return known;
  }
  function receive(name, data) {
    if (name === "status") showStatus(data);
    if (name === "decisions") showDecisions(data);
  }
  function tellLink(state, text) {
    const link = $("link");
    if (link.dataset.state !== state) link.dataset.state = state;
    if ($("link-text").textContent !== text) $("link-text").textContent = text;
  }

  // State

  function showStatus(status) {
    worker = status.worker;
    models = [...new Set(status.tiers.flatMap((tier) => tier.models))].sort(byName);
    tellLink("live", `live, worker ${status.worker}`);
    showFacts(status);
    showWorkers(status);
    showTiers(status);
    showTraffic(status.recent);
    startWeights(status);
  }
  function showFacts(status) {
    const exchange = status.exchange || { mode: "none", peers: 0 };
    const predictors = status.predictors;
    const failures = Object.values(status.failures).reduce((sum, n) => sum + n, 0);
    const mode = { redis: ["Redis", "is-good"], degraded: ["Redis unreachable", "is-bad"], memory: ["this worker alone", ""], none: ["starting", ""] }[exchange.mode];
    const lastUpdate = exchange.mode === "redis" && exchange.age_s != null ? `last update ${seconds(exchange.age_s)} ago` : "";
    const decided = status.recent.decision_ms;
    const facts = [
      ["Shared load", mode[0], lastUpdate, mode[1]],
      ["Workers", whole(exchange.peers + 1), `up ${duration(status.up_s)}`, ""],
      ["In flight", whole(status.tiers.reduce((sum, tier) => sum + tier.in_flight, 0)), "", ""],
      ["Decisions", whole(status.decisions_total), "by this worker", ""],
      ["Decision time", decided ? decided.p50.toFixed(2) + " ms" : "–", decided ? `p95 ${decided.p95.toFixed(2)} ms` : "", ""],
      ["Predictor", predictors.length ? predictors.join(", ") : "priors", "", ""],
      ["Fallback rule", whole(status.recent.reasons["fewest-open"] || 0), "of the last " + status.recent.decisions, status.recent.reasons["fewest-open"] ? "is-warn" : ""],
      ["Internal errors", whole(failures), "", failures ? "is-warn" : ""],
    ];
    $("facts").replaceChildren(...facts.map(([name, value, note, mood]) =>
      h("div", {}, h("dt", {}, name), h("dd", { className: mood }, value, note ? h("small", {}, " " + note) : null))));
    const notice = $("notice");
    const unread = (status.servers || []).filter((server) => server.failures);
    let text = "";
    if (!status.strategies.length) text = "No router or routing group of this proxy uses routebalance. `routebalance init --config FILE` proposes the lines to add.";
    else if (exchange.mode === "degraded") text = `Redis cannot be used (${exchange.error || "no answer"}): each worker uses its own load and the others' last update.`;
    else if (unread.length) text = `The load of ${whole(unread.length)} of ${whole(status.servers.length)} servers cannot be read: ${unread[0].url} (${unread[0].error || "no answer"}).`;
    notice.hidden = !text;
    if (notice.textContent !== text) notice.textContent = text;
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
    const most = Math.max(1, ...status.tiers.flatMap((tier) => tier.deployments.map((d) => d.in_flight)));
    status.tiers.forEach((tier, t) => {
      const box = $("tiers").children[t];
      box.querySelector(".tier-h span:last-child").textContent = `${whole(tier.in_flight)} in flight, ${percent(tier.share)} of traffic`;
      tier.deployments.forEach((d, i) => {
        const cells = box.querySelectorAll("tbody tr")[i].children;
        cells[1].firstChild.textContent = whole(d.in_flight);
        const bar = cells[1].querySelector("i");
        bar.style.setProperty("--v", d.in_flight / Math.max(most, Math.min(d.slots || Infinity, most)));
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
    const heads = [["deployment", ""], ["in flight", "load"], ["pending tokens", "num wide"], ["wait", "num"], ["TTFT", "num"], ["per token", "num wide"], ["share", "num"]];
    return h("div", { className: "tier" },
      h("div", { className: "tier-h" }, h("h3", {}, swatch(tier.models[0]), tier.models.join(", "), h("small", {}, tier.models.includes(tier.tier) || tier.tier.includes("|") ? "" : tier.tier)), h("span", {}, "")),
      h("table", {},
        h("caption", { className: "unseen" }, `Deployments of ${tier.models.join(", ")}`),
        h("thead", {}, h("tr", {}, ...heads.map(([text, name]) => h("th", { scope: "col", className: name }, text)))),
        h("tbody", {}, ...tier.deployments.map((d) => h("tr", {},
          h("th", { scope: "row", title: d.id }, d.id),
          h("td", { className: "load" }, h("span", {}, ""), meter(0, colour(d.model))),
          h("td", { className: "num wide" }), h("td", { className: "num" }), h("td", { className: "num" }),
          h("td", { className: "num wide" }), h("td", { className: "num" }))))));
  }

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

  function showDecisions(news) {
    const body = $("decisions");
    for (const record of [...news.decisions].reverse()) {
      const id = `${record.call_id}/${record.attempt}`, held = decisions.get(id);
      const row = decisionRow(record, news.worker, id);
      decisions.set(id, { record, worker: news.worker, row });
      if (held) {
        const focused = held.row.contains(document.activeElement);
        held.row.replaceWith(row);
        if (focused) row.querySelector("button").focus();
      } else {
        row.classList.add("is-new");
        body.prepend(row);
      }
    }
    while (body.children.length > SHOWN) body.lastChild.remove();
    for (const [id, held] of decisions) if (!held.row.isConnected) decisions.delete(id);
    $("no-decisions").hidden = decisions.size > 0;
    const workers = new Set([...decisions.values()].map((held) => held.worker));
    $("decisions-note").textContent = workers.size === 1 ? `of worker ${news.worker}` : `of ${workers.size} workers`;
  }
  function decisionRow(r, by, id) {
    const predicted = r.predicted || {}, measured = r.measured;
    const outcome = !measured ? h("span", {}, "open") : measured.error ? h("span", { className: "is-bad", title: measured.error }, "failed") : seconds(measured.open_s);
    return h("tr", {},
      h("td", { className: "when" }, clock(r.at_s)),
      h("td", { className: "wide" }, r.requested || "", r.attempt ? ` (attempt ${r.attempt + 1})` : ""),
      h("td", {}, swatch(r.model), r.deployment, r.reason === "joint" ? "" : h("small", { className: r.reason === "fewest-open" ? "is-warn" : "" }, ` ${r.reason}`)),
      h("td", { className: "num wide" }, points(r.score)), h("td", { className: "num wide" }, points(predicted.quality)),
      h("td", { className: "num" }, seconds(predicted.e2e_s)), h("td", { className: "num" }, outcome),
      h("td", { className: "num wide" }, predicted.cost_usd == null ? "–" : usd(predicted.cost_usd * 1000)),
      h("td", { className: "num" }, h("button", { type: "button", "aria-label": `Explain the decision of ${clock(r.at_s)} for ${r.deployment}`, onclick: () => explain(id) }, "why")));
  }

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
      ["Weights from", r.weights_from], ["Predictor", r.predictor || "priors"], ["Decided in", `${r.decision_ms} ms`],
      ["Load known", r.state_age_s == null ? "own only" : `last update ${seconds(r.state_age_s)} before`], ["Worker", held.worker],
      ["Removed by filters", Object.entries(r.removed || {}).map(([name, n]) => `${name} ${n}`).join(", ")],
      ["Limits relaxed", (r.relaxed || []).join(", ")], ["Tried before", (r.tried || []).join(", ")], ["Call", r.call_id],
    ].filter(([, value]) => value);
    parts.push(h("h3", {}, "Predicted and measured"), measuredTable(r), h("h3", {}, "Circumstances"),
      h("dl", { className: "facts" }, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))));
    $("drawer-h").textContent = `Decision of ${clock(r.at_s)}`;
    $("drawer-body").replaceChildren(...parts);
    $("drawer").showModal();
  }
  function sentence(r) {
    if (r.reason === "fewest-open") return `An internal error occurred, so the fallback rule chose: ${r.deployment} had the fewest open requests.`;
    if (r.reason === "only-candidate") return `${r.deployment} was the only candidate that LiteLLM's filters had left.`;
    const second = (r.top || []).find((candidate) => candidate.deployment !== r.deployment && candidate.score != null);
    if (!second) return `${r.deployment} had the best score.`;
    const own = r.top.find((candidate) => candidate.deployment === r.deployment), lead = r.score - second.score;
    if (r.reason === "joint" && lead < 0) return `${r.deployment} was the best of the sample of its tier that this worker considered: with several workers, each considers a part.`;
    const gains = own ? Object.keys(own.terms).map((name) => [name, own.terms[name] - second.terms[name]]).sort((a, b) => b[1] - a[1]) : [];
    const why = gains.length && gains[0][1] > 0.0005 ? `, most of all for its ${gains[0][0]}` : "";
    return `${r.deployment} won over ${second.deployment} by ${lead < 0.0005 ? "less than 0.001" : lead.toFixed(3)} points${why}.`;
  }
  function candidateBlock(c, r) {
    const chosen = c.deployment === r.deployment;
    return h("div", { className: "candidate" },
      h("div", { className: "row" }, h("span", { className: chosen ? "chosen" : "" }, c.deployment + (chosen ? " (chosen)" : "")), h("span", {}, c.score == null ? `left out: ${(c.failed || []).join(", ")}` : points(c.score))),
      h("div", { className: "stack", "aria-hidden": "true" }, ...Object.entries(c.terms).map(([name, value]) => h("i", { style: { "--v": Math.max(value, 0), "--colour": `var(${TERMS[name] || "--other"})` } }))),
      h("div", { className: "legend" }, ...Object.entries(c.terms).map(([name, value]) => h("span", {}, `${name} ${points(value)}`))),
      h("div", { className: "legend" }, `quality ${points(c.quality)}, ${whole(c.output_tokens)} tokens, wait ${seconds(c.wait_s)}, TTFT ${seconds(c.ttft_s)}, ${seconds(c.tpot_s)} per token, E2E ${seconds(c.e2e_s)}, ${usd(c.cost_usd * 1000)} per 1,000 requests`));
  }
  function measuredTable(r) {
    const p = r.predicted || {}, m = r.measured || {};
    const rows = [["E2E", seconds(p.e2e_s), seconds(m.open_s)], ["TTFT", seconds(p.ttft_s), seconds(m.ttft_s)], ["per token", seconds(p.tpot_s), seconds(m.tpot_s)],
      ["output tokens", whole(p.output_tokens), whole(m.output_tokens)], ["USD per 1,000 requests", p.cost_usd == null ? "–" : usd(p.cost_usd * 1000), m.cost_usd == null ? "–" : usd(m.cost_usd * 1000)]];
    if (m.error) rows.push(["error", "", m.error]);
    return h("table", { className: "figures" }, h("caption", { className: "unseen" }, "Predicted and measured figures"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { className: "unseen" }, "Figure")), h("th", { scope: "col" }, "predicted"), h("th", { scope: "col" }, r.measured ? "measured" : "not over yet"))),
      h("tbody", {}, ...rows.map(([name, a, b]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, a), h("td", {}, b)))));
  }

  // Other weights

  const sliders = ["quality", "latency", "cost"].map((name) => [name, $("w-" + name), $("o-" + name)]);
  function startWeights(status) {
    presets = status.presets;
    if (!$("presets").children.length) $("presets").append(...Object.entries(presets).map(([name, w]) =>
      h("button", { type: "button", onclick: () => { setWeights(w); weighAnew(0); } }, name)));
    if (weightsKnown || !status.strategies.length) return;
    weightsKnown = true;
    const given = status.strategies[0].arguments.weights || "balanced";
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
    try {
      const query = new URLSearchParams({ quality: shares[0].toFixed(4), latency: shares[1].toFixed(4), cost: shares[2].toFixed(4), last: "200" });
      showWhatIf(await (await ask("whatif?" + query, asking.signal)).json());
    } catch (error) {
      if (error.name !== "AbortError" && !refused(error)) $("whatif-note").textContent = "The proxy did not answer.";
      if (error.name === "AbortError") return;
    }
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

  // Signing in, theme, drawer

  function signIn(status) {
    tellLink("lost", "signed out");
    if (status === 403 || (status !== 500 && Object.keys(headers()).length)) $("signin-note").textContent = "LiteLLM does not admit this key here: it takes a proxy admin's.";
    try { sessionStorage.removeItem("routebalance-key"); } catch { /* nothing was kept */ }
    if (!$("signin").open) $("signin").showModal();
  }
  $("signin-form").addEventListener("submit", (event) => {
    event.preventDefault();
    try { sessionStorage.setItem("routebalance-key", $("key").value.trim()); } catch { /* then the cookie must do */ }
    $("key").value = "";
    $("signin").close();
    follow();
  });
  $("drawer-close").addEventListener("click", () => $("drawer").close());
  $("drawer").addEventListener("click", (event) => { if (event.target === $("drawer")) $("drawer").close(); });
  const themes = ["auto", "light", "dark"];
  function setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    $("theme").textContent = `Theme: ${theme}`;
    try { localStorage.setItem("routebalance-theme", theme); } catch { /* asked for again next time */ }
  }
  let theme = "auto";
  try { theme = themes.includes(localStorage.getItem("routebalance-theme")) ? localStorage.getItem("routebalance-theme") : "auto"; } catch { /* auto */ }
  setTheme(theme);
  $("theme").addEventListener("click", () => { theme = themes[(themes.indexOf(theme) + 1) % themes.length]; setTheme(theme); });
  document.addEventListener("visibilitychange", () => { if (document.hidden && reading) reading.abort(); else follow(); });
  follow();
})();
