"use strict";

const SECONDS = 300;
const ANNOUNCE_EVERY_MS = 4000;
const SILENT_MS = 10000; // forty states that did not come: a device without power closes no connection
const RETRY_MS = 3000;
const byId = (id) => document.getElementById(id);
const percent = (p) => `${Math.round(100 * p)}\u00a0%`;

const moments = new Map(); // second → {faces, label, confidence}
let now = 0;

// ---- the picture: an endless MJPEG response; leaving it out costs the device nothing

const picture = byId("picture");
const toggle = byId("picture-toggle");
let wanted = localStorage.getItem("picture") !== "off";

function showPicture({ pictures, alive, lost }) {
  toggle.hidden = !pictures;
  const action = wanted ? "Hide picture" : "Show picture"; // no aria-pressed: the name alone says it
  if (toggle.textContent !== action) toggle.textContent = action;
  const on = pictures && wanted && alive;
  if (on && !picture.hasAttribute("src")) picture.src = `/picture?${Date.now()}`;
  if (!on && picture.hasAttribute("src")) picture.removeAttribute("src");
  picture.hidden = !on;
  byId("picture-off").hidden = on;
  if (!pictures) byId("picture-off").textContent = "pictures are switched off on the device (--no-frames)";
  else if (!wanted) byId("picture-off").textContent = "picture hidden";
  else if (!alive) byId("picture-off").textContent = lost ? "no connection" : "no frame from the camera";
}
picture.addEventListener("error", () => setTimeout(() => picture.removeAttribute("src"), 2000));
toggle.addEventListener("click", () => {
  wanted = !wanted;
  localStorage.setItem("picture", wanted ? "on" : "off");
  if (last) showPicture(last);
});

// ---- the faces: one list entry a face, kept while it is followed, so that a screen reader keeps its place

const faceItems = new Map();

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function makeFace(face) {
  const item = element("li");
  const title = element("h3");
  const values = element("ul", "values");
  const rows = new Map();
  for (const label of Object.keys(face.probabilities)) {
    const row = element("li");
    const track = element("span", "track");
    const fill = element("i");
    const number = element("span", "number");
    track.setAttribute("aria-hidden", "true");
    track.append(fill);
    row.append(element("span", "", label), track, number);
    values.append(row);
    rows.set(label, { fill, number });
  }
  item.append(title, values);
  return { item, title, rows };
}

function showFaces(faces) {
  byId("no-faces").hidden = faces.length > 0;
  const present = new Set(faces.map((face) => face.id));
  for (const [id, made] of faceItems) {
    if (!present.has(id)) { made.item.remove(); faceItems.delete(id); }
  }
  for (const face of faces) {
    if (!faceItems.has(face.id)) {
      faceItems.set(face.id, makeFace(face));
      byId("faces").append(faceItems.get(face.id).item);
    }
    const made = faceItems.get(face.id);
    const state = face.state === "steady" ? "" : " (uncertain)";
    made.title.textContent = `apparently ${face.label} ${percent(face.confidence)}${state} `;
    made.title.append(element("span", "", `face ${face.id}`));
    for (const [label, { fill, number }] of made.rows) {
      const p = face.probabilities[label] ?? 0;
      fill.style.width = `${100 * p}%`;
      number.textContent = percent(p);
    }
  }
}

let announced = "";
let announcedAt = -Infinity;

function announce(state) { // for screen readers: only changes, and not too often
  const text = !state.alive ? "" // the header says why
    : state.faces === 0 ? "no face in view"
    : `${state.faces} ${state.faces === 1 ? "face" : "faces"}, apparently ${state.dominant}`;
  if (text === announced || (text && performance.now() - announcedAt < ANNOUNCE_EVERY_MS)) return;
  announced = text;
  announcedAt = performance.now();
  byId("announce").textContent = text;
}

// ---- the timeline: a lane for each label, a mark for each second, so that it reads without colour

const canvas = byId("timeline");

function drawTimeline() {
  const labels = last ? last.labels : [];
  const style = getComputedStyle(document.documentElement);
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = `13px ${style.fontFamily}`;
  context.textBaseline = "middle";
  const widest = Math.max(0, ...labels.map((label) => context.measureText(label).width));
  const left = Math.min(widest + 8, width / 3), bottom = 18;
  const lane = (height - bottom) / Math.max(1, labels.length);
  const second = (width - left) / SECONDS;
  labels.forEach((label, row) => {
    const y = row * lane;
    context.fillStyle = style.getPropertyValue("--quiet");
    context.fillText(label, 0, y + lane / 2, left - 8);
    context.fillStyle = style.getPropertyValue("--track");
    context.fillRect(left, y + 2, width - left, lane - 4);
  });
  context.fillStyle = style.getPropertyValue("--accent");
  for (const [at, moment] of moments) {
    const row = labels.indexOf(moment.label);
    if (row < 0) continue;
    const size = Math.max(0.25, moment.confidence) * (lane - 4);
    context.fillRect(width - (now - at) * second, row * lane + 2 + (lane - 4 - size), Math.max(second, 1) + 0.5, size);
  }
  context.fillStyle = style.getPropertyValue("--quiet");
  for (const minutes of width < 480 ? [5, 3, 0] : [5, 4, 3, 2, 1, 0]) {
    const x = width - minutes * 60 * second;
    context.textAlign = minutes === 5 ? "left" : minutes === 0 ? "right" : "center";
    context.fillText(minutes ? `−${minutes} min` : "now", x, height - bottom / 2 + 2);
  }
}

function addMoments(list) {
  for (const [second, faces, label, confidence] of list) moments.set(second, { faces, label, confidence });
}

function showTimeline() {
  for (const second of moments.keys()) if (second < now - SECONDS) moments.delete(second);
  const seen = new Map();
  for (const moment of moments.values()) if (moment.label) seen.set(moment.label, (seen.get(moment.label) ?? 0) + 1);
  const total = [...seen.values()].reduce((a, b) => a + b, 0);
  const parts = [...seen].sort((a, b) => b[1] - a[1]).map(([label, n]) => `${label} ${percent(n / total)}`);
  const text = total ? `a face for ${total} s of the last five minutes: ${parts.join(", ")}` : "no face in the last five minutes";
  if (canvas.getAttribute("aria-label") !== text) {
    byId("timeline-text").textContent = text;
    canvas.setAttribute("aria-label", text);
  }
  drawTimeline();
}
window.addEventListener("resize", drawTimeline);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTimeline);

// ---- the device

function showDevice(state) {
  const board = state.board;
  byId("rate").textContent = state.frames_per_s.toFixed(1);
  byId("temperature").textContent = board.temperature_c === null ? "not known here" : `${board.temperature_c.toFixed(1)} °C`;
  byId("memory").textContent = board.memory_available_mib === null ? "not known here" : `${board.memory_available_mib} MiB`;
  byId("viewers").textContent = state.viewers;
  byId("source").textContent = state.result ? state.result.source : "–";
  const throttling = byId("throttling");
  throttling.classList.toggle("bad", Boolean(board.throttled && board.throttled.length));
  if (board.throttled === null) throttling.textContent = "not known here";
  else if (board.throttled.length) throttling.textContent = `${board.throttled.join(", ")} now`;
  else if (board.throttled_before.length) throttling.textContent = `none now; since boot: ${board.throttled_before.join(", ")}`;
  else throttling.textContent = "none";
  const stages = Object.entries(state.result ? state.result.latency_ms : {});
  const list = byId("stages");
  if (list.children.length !== stages.length) {
    list.replaceChildren(...stages.map(() => {
      const row = element("div");
      row.append(element("dt"), element("dd"));
      return row;
    }));
  }
  stages.forEach(([stage, ms], row) => {
    list.children[row].children[0].textContent = stage;
    list.children[row].children[1].textContent = `${ms.toFixed(1)} ms`;
  });
}

// ---- the stream of states; EventSource comes back by itself when the device restarts

const connection = byId("connection");
let last = null;

function say(text, bad) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.classList.toggle("bad", bad);
}

function show(state) {
  last = state;
  now = state.second;
  if (state.alive) say("live", false);
  else if (!state.lost) say(state.frames ? "the camera has stopped" : "waiting for the camera", true);
  const faces = state.result && state.alive ? state.result.faces : [];
  showPicture(state);
  showFaces(faces);
  announce(state);
  showDevice(state);
  showTimeline();
}

// A browser gives all its pages of one device six connections: those that nobody sees leave theirs to the others.
let source = null;
let silence = 0;

function lose() { // what was seen last is not what is there now
  say("no connection to the device, trying again", true);
  if (last) show({ ...last, lost: true, alive: false, faces: 0, frames_per_s: 0 });
}

function awaitState() {
  clearTimeout(silence);
  silence = setTimeout(() => { lose(); connect(); }, SILENT_MS);
}

function connect() {
  clearTimeout(silence);
  source?.close();
  source = null;
  if (document.hidden) {
    picture.removeAttribute("src");
    return;
  }
  awaitState();
  const opened = source = new EventSource("/events");
  opened.addEventListener("open", () => moments.clear()); // all of them come again, after a restart others
  opened.addEventListener("state", (event) => {
    awaitState();
    show(JSON.parse(event.data));
  });
  opened.addEventListener("timeline", (event) => addMoments(JSON.parse(event.data)));
  opened.addEventListener("error", () => {
    lose();
    if (opened.readyState === EventSource.CLOSED) { clearTimeout(silence); setTimeout(retry, RETRY_MS, opened); }
  });
}

async function retry(opened) { // an EventSource that was refused does not say why
  if (opened !== source) return;
  const answer = await fetch("/events", { signal: AbortSignal.timeout(SILENT_MS) }).catch(() => null);
  if (opened !== source) return;
  if (answer?.status === 401) return location.reload(); // to where the token is asked for
  if (answer?.ok) {
    answer.body.cancel();
    return connect();
  }
  if (answer) say(await answer.text(), true);
  setTimeout(retry, RETRY_MS, opened);
}
document.addEventListener("visibilitychange", connect);
connect();
