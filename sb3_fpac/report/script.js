"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/* Learning curves: the legend hides and shows them, the switch selects the axis, the pointer or the arrow keys an evaluation. */
function chart() {
  const plot = document.querySelector(".plot");
  const cursor = plot.querySelector(".cursor");
  const tooltip = plot.querySelector(".tooltip");
  const hidden = new Set();
  let axis = "steps";
  let at = null; // percent of the width

  function evaluations() {
    const places = data.axes[axis].lines.flatMap((line, index) => hidden.has(`line-${index}`) ? [] : line.hover.map(({ x }) => x));
    return [...new Set(places)].sort((a, b) => a - b);
  }

  function paragraph(...parts) {
    const p = document.createElement("p");
    p.append(...parts);
    return p;
  }

  function show(x) {
    at = x;
    const shown = x === undefined ? [] : data.axes[axis].lines.flatMap((line, index) => {
      const evaluation = hidden.has(`line-${index}`) ? undefined : line.hover.find((candidate) => candidate.x === x);
      return evaluation ? [{ index, label: line.label, ...evaluation }] : [];
    });
    cursor.toggleAttribute("hidden", !shown.length);
    tooltip.hidden = !shown.length;
    if (!shown.length) return;
    cursor.setAttribute("x1", `${x}%`);
    cursor.setAttribute("x2", `${x}%`);
    tooltip.replaceChildren(paragraph(`${shown[0].at}: mean [band], IQM`), ...shown.map(({ index, label, mean, low, high, iqm, note }) => {
      const name = document.createElement("b");
      name.className = `series-${index % 6}`;
      name.textContent = label;
      return paragraph(name, ` ${mean} [${low}, ${high}], IQM ${iqm}${note}`);
    }));
    const room = plot.clientWidth - tooltip.offsetWidth;
    const beside = x / 100 * plot.clientWidth + (x < 50 ? 14 : -14 - tooltip.offsetWidth);
    tooltip.style.left = `${clamp(beside, 0, Math.max(room, 0))}px`;
  }

  function point(event) {
    const box = plot.getBoundingClientRect();
    const x = 100 * (event.clientX - box.left) / box.width;
    const places = evaluations();
    if (places.length) show(places.reduce((best, place) => Math.abs(place - x) < Math.abs(best - x) ? place : best));
  }

  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType !== "touch") show(); // a finger leaves after every tap: the numbers stay until the next one elsewhere
  });
  plot.addEventListener("blur", () => show());
  document.addEventListener("pointerdown", ({ target }) => {
    if (!plot.contains(target)) show();
  });
  plot.addEventListener("keydown", (event) => {
    const places = evaluations();
    const here = places.indexOf(at);
    const next = { ArrowLeft: here < 0 ? places.length - 1 : here - 1, ArrowRight: here + 1, Home: 0, End: places.length - 1 }[event.key];
    if (event.key === "Escape") show();
    if (next === undefined) return;
    event.preventDefault();
    show(places[clamp(next, 0, places.length - 1)]);
  });
  for (const button of document.querySelectorAll("[data-axis-switch]")) {
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      axis = button.dataset.axisSwitch;
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", other === button);
      for (const part of document.querySelectorAll("[data-axis]")) part.toggleAttribute("hidden", part.dataset.axis !== axis);
      show();
    });
  }
  for (const button of document.querySelectorAll("[data-toggles]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.toggles;
      const visible = hidden.delete(name) || !hidden.add(name);
      button.setAttribute("aria-pressed", visible);
      for (const part of document.querySelectorAll(`[data-part="${name}"]`)) part.toggleAttribute("hidden", !visible);
      show();
    });
  }
}

/* The frames of one camera with its points, whose indices over all cameras start at `first`. */
function camera(canvas, { key, first, columns, colours, sprite, height, width, positions, past, presence }) {
  const context = canvas.getContext("2d");
  const image = new Image();
  const loaded = new Promise((resolve) => image.addEventListener("load", resolve));
  const scale = Math.ceil(480 * Math.min(window.devicePixelRatio || 1, 2) / width); // canvas pixels per pixel of the frame

  function line(k, step, x, y, radius, opacity) {
    const [fromX, fromY] = past[step][k].map((value) => (value + 0.5) * scale);
    if (fromX === x && fromY === y) return;
    const fade = context.createLinearGradient(x, y, fromX, fromY);
    fade.addColorStop(0, colours[k]);
    fade.addColorStop(1, colours[k] + "00");
    context.globalAlpha = opacity;
    context.strokeStyle = fade;
    context.lineWidth = radius;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(fromX, fromY);
    context.stroke();
  }

  function disc(x, y, radius, fill, stroke, thickness) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = fill;
    if (fill) context.fill();
    context.strokeStyle = stroke;
    context.lineWidth = thickness;
    context.stroke();
  }

  function drawPoint(k, step, chosen) {
    const [x, y] = positions[step][k].map((value) => (value + 0.5) * scale);
    const visibility = (1 + presence[step][k]) / 2;
    const radius = 1.5 * scale * (1 + visibility) / 2;
    const opacity = chosen.has(first + k) ? 1 : (1 + 4 * visibility) / 5 * (chosen.size ? 0.3 : 1);
    line(k, step, x, y, radius, opacity);
    context.globalAlpha = opacity;
    disc(x, y, radius, colours[k], "#000", radius / 4);
    if (chosen.has(first + k)) {
      disc(x, y, radius + 0.9 * scale, null, "#000", 0.8 * scale);
      disc(x, y, radius + 0.9 * scale, null, "#fff", 0.45 * scale);
    }
  }

  function draw(step, chosen, names) {
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 1;
    const column = step % columns, row = Math.floor(step / columns);
    context.drawImage(image, column * width, row * height, width, height, 0, 0, canvas.width, canvas.height);
    const isChosen = (k) => chosen.has(first + k);
    const order = [...presence[step].keys()].sort((a, b) => isChosen(a) - isChosen(b) || presence[step][a] - presence[step][b]);
    for (const k of order) drawPoint(k, step, chosen);
    canvas.dataset.step = step + 1;
    canvas.dataset.chosen = names;
    const of = key === null ? "" : ` of the camera ${key}`;
    canvas.setAttribute("aria-label", `Frame of step ${step + 1}${of} with the feature points${names && "; selected points: " + names}`);
  }

  /* The index over all cameras of the point that is clicked; undefined where there is none */
  function clicked(event, step) {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width - 0.5;
    const y = (event.clientY - box.top) / box.height * height - 0.5;
    const reach = 16 / box.width * width; // 16 CSS pixels, for fingers
    const distances = positions[step].map(([pointX, pointY]) => Math.hypot(pointX - x, pointY - y));
    const nearest = distances.indexOf(Math.min(...distances));
    return distances[nearest] <= reach ? first + nearest : undefined;
  }

  canvas.width = scale * width;
  canvas.height = scale * height;
  image.src = sprite;
  return { canvas, loaded, draw, clicked };
}

/* The agent's episode step by step. Selected points stay selected in all frames. */
function stepper({ names, returns, views }) {
  const figure = document.querySelector(".stepper");
  const slider = figure.querySelector("input");
  const output = figure.querySelector("output");
  const entries = [...document.querySelectorAll("[data-point]")];
  const cameras = [...figure.querySelectorAll("canvas")].map((canvas, index) => camera(canvas, views[index]));
  const chosen = new Set();
  const frames = returns.length;
  let step = 0;

  function draw() {
    const shown = [...chosen].sort((a, b) => a - b).map((k) => names[k]).join(", ");
    for (const one of cameras) one.draw(step, chosen, shown);
    output.textContent = `Step ${step + 1} of ${frames}, return so far ${returns[step].toFixed(1)}${shown && ", points " + shown}`;
    slider.value = step;
    slider.setAttribute("aria-valuetext", `Step ${step + 1}`);
    for (const entry of entries) entry.setAttribute("aria-pressed", chosen.has(Number(entry.dataset.point)));
  }

  function go(to) {
    step = clamp(to, 0, frames - 1);
    draw();
  }

  function choose(k) {
    if (!chosen.delete(k)) chosen.add(k);
    draw();
  }

  for (const one of cameras) {
    one.canvas.addEventListener("click", (event) => {
      const k = one.clicked(event, step);
      if (k !== undefined) choose(k);
    });
  }
  slider.addEventListener("input", () => go(slider.valueAsNumber));
  for (const button of figure.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => go(step + Number(button.dataset.go)));
  }
  for (const entry of entries) entry.addEventListener("click", () => choose(Number(entry.dataset.point)));
  function press(event) {
    const to = { ArrowLeft: step - 1, ArrowRight: step + 1, Home: 0, End: frames - 1 }[event.key];
    if (event.key === "Escape") {
      chosen.clear();
      draw();
    } else if (to !== undefined) {
      event.preventDefault();
      go(to);
    }
  }
  figure.addEventListener("keydown", press);
  document.querySelector(".ranking").addEventListener("keydown", press);

  Promise.all(cameras.map(({ loaded }) => loaded)).then(() => {
    figure.hidden = false;
    draw();
  });
}

if (data.axes) chart();
if (data.agent) stepper(data.agent);
