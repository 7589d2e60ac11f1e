// Window and level: from the numbers of a frame to the greys (or colours) of the screen.

const HU = [["Soft tissue", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80], ["Mediastinum", 50, 350], ["Liver", 60, 160]];

/** Windows to choose from: those of the file first, then those that fit its unit. @returns {{name: string, center: number, width: number}[]} */
export function presets(frame) {
  const own = frame.windows.map((w, n) => ({ ...w, name: w.name || (frame.windows.length > 1 ? `As stored, ${n + 1}` : "As stored") }));
  if (frame.unit === "HU") return [...own, ...HU.map(([name, center, width]) => ({ name, center, width }))];
  return frame.colour ? own : [...own, { name: "Whole range", ...whole(frame) }];
}

function whole(frame) {
  let low = Infinity, high = -Infinity;
  for (const v of frame.values) {
    if (v === frame.padding) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const [a, b] = [low * frame.slope + frame.intercept, high * frame.slope + frame.intercept];
  return { center: (a + b + 1) / 2, width: Math.abs(b - a) + 1 };
}

/** The frame through a window, as pixels for a canvas. DICOM's LINEAR function (PS3.3, C.11.2.1.2). */
export function windowed(frame, { center, width }, invert) {
  const flip = frame.inverted !== invert;
  const level = (x) => {
    const y = 255 * ((x - (center - 0.5)) / Math.max(width - 1, 1e-6) + 0.5);
    const grey = y < 0 ? 0 : y > 255 ? 255 : Math.round(y);
    return flip ? 255 - grey : grey;
  };
  const pixels = new ImageData(frame.width, frame.height);
  if (frame.colour) {
    const table = Uint8Array.from({ length: 256 }, (_, v) => level(v));
    const { values } = frame;
    for (let i = 0; i < values.length; i += 4) {
      pixels.data[i] = table[values[i]];
      pixels.data[i + 1] = table[values[i + 1]];
      pixels.data[i + 2] = table[values[i + 2]];
      pixels.data[i + 3] = values[i + 3];
    }
    return pixels;
  }
  const offset = frame.values instanceof Int16Array ? 32768 : 0;
  const table = new Uint32Array(65536);
  for (let n = 0; n < 65536; n++) {
    const grey = level((n - offset) * frame.slope + frame.intercept);
    table[n] = 0xff000000 | (grey * 0x010101);
  }
  if (frame.padding !== null) table[frame.padding + offset] = 0xff000000;
  const out = new Uint32Array(pixels.data.buffer);
  const { values } = frame;
  for (let i = 0; i < out.length; i++) out[i] = table[values[i] + offset];
  return pixels;
}
