// Waveforms from peaks, drawn by wavesurfer.js; sound is the player's alone.
import WaveSurfer from "./wavesurfer.js";

export const PEAKS = 50; // a second
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function wave(container, peaks, seconds, { dry = false, height = 44, plugins = [] } = {}) {
  const values = Float32Array.from(peaks, (one) => one / 127);
  const shown = WaveSurfer.create({
    container,
    height,
    peaks: [values],
    duration: seconds,
    waveColor: colour(dry ? "--wave-dry" : "--wave"),
    progressColor: colour(dry ? "--wave-dry" : "--wave"),
    cursorWidth: 0,
    interact: false,
    hideScrollbar: true,
    plugins,
  });
  return shown;
}

export const secondsOf = (peaks) => peaks.length / PEAKS;
export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

// Makes an element: element("p", {class: "hint"}, "text", child).
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
