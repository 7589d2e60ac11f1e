// A DICOM file in small, as an address that <img> takes.

import { send } from "./frames.js";
import { windowed } from "./window.js";

const EDGE = 256;

/** @param {File} file @returns {Promise<string>} */
export async function small(file) {
  const { frames } = await send(file);
  const frame = frames[Math.floor(frames.length / 2)];
  const whole = new OffscreenCanvas(frame.width, frame.height);
  whole.getContext("2d").putImageData(windowed(frame, frame.windows[0], false), 0, 0);
  const aspect = frame.spacing ? frame.spacing[0] / frame.spacing[1] : 1;
  const k = Math.min(1, EDGE / Math.max(frame.width, frame.height * aspect));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(frame.width * k)), Math.max(1, Math.round(frame.height * aspect * k)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  return URL.createObjectURL(await canvas.convertToBlob());
}
