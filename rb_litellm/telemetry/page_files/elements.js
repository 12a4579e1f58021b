// Elements and figures of the page. Everything shown is set as text, never as markup: names come from
// configurations and clients.
"use strict";
const $ = (id) => document.getElementById(id);
const TERMS = { quality: "--quality", latency: "--latency", cost: "--cost" };
const SHOWN = 40, TROUBLED = 8;
// Longer than servers keep an idle connection, which is 5 s with uvicorn.
const VISIT_MS = 7000;
const decisions = new Map();
let models = [], names = {}, worker = "", presets = {}, touched = false, weightsKnown = false;

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
// A word with its explanation, shown on hover and on focus.
const explained = (text, help) => h("span", { className: "tip", tabIndex: 0 }, text, h("span", { className: "tip-text", role: "tooltip" }, help));
// What people call a deployment: its id, or model group and host where LiteLLM made the id up.
const named = (id) => names[id] || id;
