// The page: a song, a request, its progress, and the mixer.
import { GONE, call, release, watch } from "./api.js";
import { clock, element } from "./wave.js";
import { Blind } from "./blind.js";
import { Downloads } from "./downloads.js";
import { Mixer } from "./mixer.js";
import { Sheet } from "./sheet.js";
import { Setup } from "./setup.js";

const by = (id) => document.getElementById(id);
const KEPT = "audiotransfer-page";
const PING = 60_000;
const STAGES = { loading: "loading", separate: "separating the stems", measure: "measuring", transcribe: "transcribing", transfer: "transferring", arrange: "playing", write: "writing", tracks: "making the mixer's tracks" };

const state = { song: null, jobs: [], current: null };
const keep = () => {
  try { sessionStorage.setItem(KEPT, JSON.stringify(state)); } catch { /* a private window */ }
};

function say(text) {
  by("message").textContent = text;
  by("message").hidden = !text;
}

const mixer = new Mixer(say);
const setup = new Setup(start, say, (song) => {
  state.song = song?.id || null;
  keep();
});
const sheet = new Sheet(() => mixer.seconds, start, say);
const downloads = new Downloads(mixer, say);
const blind = new Blind(mixer);
mixer.changed = () => downloads.showCommand();
let stop = () => {};
let audible = ""; // the job whose mix can be heard

async function start(request) {
  say("");
  try {
    const job = await call("POST", "api/jobs", request);
    state.jobs.push(job.id);
    open(job.id);
  } catch (error) {
    say(error.message);
  }
}

function open(id) {
  stop();
  state.current = id;
  keep();
  let first = true;
  by("cancel").disabled = false;
  stop = watch(id, (job) => {
    if (!first && by("message").textContent === GONE) say("");
    show(job, first);
    first = false;
  }, (refused) => say(refused ? "The job is not there any more; start it again." : GONE));
}

// A job that came to nothing makes way for the one before it.
function drop(job) {
  state.jobs = state.jobs.filter((id) => id !== job.id);
  mixer.player.pause();
  by("result").hidden = true;
  state.current = state.jobs.at(-1) || null;
  if (state.current) open(state.current);
  keep();
}

async function show(job, first) {
  if (job.id !== state.current) return;
  const busy = job.state === "queued" || job.state === "running";
  by("working").hidden = !busy;
  if (busy && !by("cancel").disabled) {
    by("stage").textContent = job.state === "queued"
      ? `waiting, ${job.position > 1 ? `${job.position - 1} before this` : "next"}`
      : `${STAGES[job.stage] || job.stage}, ${Math.round(100 * job.share)} %${job.left ? `, ${clock(job.left)} left` : ""}`;
    by("share").value = job.share;
    if (first && !job.tracks.length) by("cancel").focus();
  }
  if (job.state === "failed" || job.state === "cancelled") {
    say(job.state === "failed" ? job.error : "Cancelled.");
    drop(job);
    by("preview").focus();
    return;
  }
  if (!job.tracks.length) {
    mixer.player.pause();
    by("result").hidden = true;
    return;
  }
  const appeared = by("result").hidden;
  by("result").hidden = false;
  if (appeared) audible = "";
  try {
    await mixer.show(job);
  } catch (error) {
    say(error.message);
  }
  if (job.id !== state.current) return;
  if (appeared) mixer.zoom();
  if (audible !== job.id && job.tracks.some((track) => track.name === "mix")) {
    audible = job.id;
    if ([document.body, by("cancel")].includes(document.activeElement)) by("play").focus();
    document.documentElement.dataset.audible = String(performance.now());
  }
  for (const id of ["download", "pictures", "blind"]) by(id).hidden = job.state !== "done";
  if (job.state !== "done" || job.id !== state.current) {
    by("sheet").hidden = by("corrections").hidden = true;
    return;
  }
  showNotices(job);
  showVersions();
  downloads.show(job);
  blind.show(job);
  try {
    const kind = job.kind === "midi" ? "midi" : "audio";
    await sheet.show(job, setup.styles.filter((style) => style[kind]?.modes.includes("cover")).map((style) => style.name));
  } catch (error) {
    say(error.message);
  }
  document.documentElement.dataset.done = job.id;
}

function showNotices(job) {
  state.labels = { ...state.labels, [job.id]: `${job.request.style}, ${job.report.mode}${job.request.seed ? `, seed ${job.request.seed}` : ""}${job.request.preview ? ", preview" : ""}${job.request.edits?.length ? `, ${job.request.edits.length} corrected` : ""}` };
  const cover = job.report.cover;
  const facts = cover ? [`${cover.key}, ${cover.metre}, ${Math.round(cover.tempo)} beats a minute`] : [];
  by("notices").replaceChildren(...[...facts, ...job.report.notices].map((text) => element("p", { class: "notice" }, text)));
  keep();
}

// Transfers of this page, to go back to an earlier one.
function showVersions() {
  by("versions").replaceChildren(...(state.jobs.length < 2 ? [] : state.jobs.map((id, n) => element("button", {
    type: "button", "aria-pressed": String(id === state.current),
    onclick: () => {
      by("result").hidden = true;
      open(id);
    },
  }, `${n + 1}: ${state.labels?.[id] || "…"}`))));
}

by("cancel").addEventListener("click", () => {
  by("cancel").disabled = true; // it may take some seconds
  by("stage").textContent = "stopping …";
  call("DELETE", `api/jobs/${state.current}`).catch((error) => {
    by("cancel").disabled = false;
    say(error.message);
  });
});
by("api").href += location.search;
window.addEventListener("pagehide", () => release([...state.jobs, state.song, setup.song?.id].filter(Boolean)));
setInterval(() => {
  for (const id of state.jobs) call("GET", `api/jobs/${id}`).catch(() => {});
  if (setup.song) call("GET", `api/songs/${setup.song.id}`).catch(() => {});
}, PING);

// A page that was reloaded goes on where it was.
async function resume() {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(KEPT)); } catch { /* nothing was kept */ }
  if (!kept) return;
  try {
    if (kept.song) setup.show(await call("GET", `api/songs/${kept.song}`));
  } catch { return; }
  const there = await Promise.all(kept.jobs.map((id) => call("GET", `api/jobs/${id}`).then(() => id, () => null)));
  Object.assign(state, kept, { jobs: there.filter(Boolean) });
  if (state.jobs.includes(state.current)) open(state.current);
}

try {
  await setup.load();
  await resume();
} catch (error) {
  say(error.message);
}
// For tests and for those who write scripts in the browser's console.
window.audiotransfer = { mixer, player: mixer.player, setup, state };
