// What mouse, pen and fingers do to a pane: drag by the tool in hand, two fingers and the wheel zoom, or turn frames.

const WHEEL = 400; // of wheel movement that zooms e-fold
const NOTCH = 40; // of wheel movement that turns one frame

/** @param {import("./pane.js").Pane} pane @param {{tool: () => string, activate: () => void, over: (place: [number, number] | null) => void}} hands */
export function listenToPointers(pane, hands) {
  const stage = pane.element;
  const fingers = new Map();
  let drag = null; // where the window or the ruler began
  let turned = 0;

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!pane.frame) return;
    hands.activate();
    if (pane.stack.length < 2 || event.ctrlKey) return pane.zoom(Math.exp(-event.deltaY / WHEEL), ...pane.fromCentre(event));
    turned += event.deltaY;
    const by = Math.trunc(turned / NOTCH);
    turned -= by * NOTCH;
    return by && pane.turn(pane.at + by);
  }, { passive: false });

  stage.addEventListener("dblclick", (event) => {
    if (!pane.frame || hands.tool() === "ruler") return;
    if (pane.view.scale > 1) pane.setView({ scale: 1, x: 0, y: 0 });
    else pane.zoom(3, ...pane.fromCentre(event));
  });

  stage.addEventListener("contextmenu", (event) => event.preventDefault()); // the right button windows

  stage.addEventListener("pointerdown", (event) => {
    if (!pane.frame) return;
    hands.activate();
    fingers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
    const tool = event.button === 2 ? "window" : event.button === 1 ? "move" : hands.tool();
    drag = fingers.size > 1 ? null : { tool, from: event, window: { ...pane.window }, place: pane.inPicture(event) };
  });

  stage.addEventListener("pointermove", (event) => {
    if (!pane.frame) return;
    hands.over(pane.inPicture(event));
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const other = [...fingers.values()].find((f) => f.pointerId !== event.pointerId);
    if (other) {
      const apart = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY) || 1;
      pane.zoom(apart(event) / apart(before), ...pane.fromCentre(event));
    } else if (drag?.tool === "move") {
      pane.move(event.clientX - before.clientX, event.clientY - before.clientY);
    } else if (drag?.tool === "ruler") {
      pane.setRuler([drag.place, pane.inPicture(event)]);
    } else if (drag?.tool === "window") {
      const by = Math.max(drag.window.width, 64) / 300; // a screen pixel
      pane.setWindow({
        center: drag.window.center - (event.clientY - drag.from.clientY) * by,
        width: drag.window.width + (event.clientX - drag.from.clientX) * by,
      });
    }
    fingers.set(event.pointerId, event);
  });

  stage.addEventListener("pointerleave", () => hands.over(null));
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      drag = null;
    });
  }
}
