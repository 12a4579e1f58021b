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
