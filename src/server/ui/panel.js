// The live view at the right, from /load: polled while it can be seen.

const kPollMs = 500;
const kHistory = 120;  // one minute
const panel = {last: null, rates: new Array(kHistory).fill(0), load: null};

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A canvas' context in CSS pixels, cleared; {context, width, height}.
function prepareCanvas(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = Number(canvas.dataset.height || (canvas.dataset.height = canvas.getAttribute("height")));
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return {context, width, height};
}

function drawRates() {
  const {context, width, height} = prepareCanvas($("rate-plot"));
  const top = Math.max(10, ...panel.rates) * 1.1;
  const x = (i) => (i * width) / (kHistory - 1);
  const y = (rate) => height - 1 - (rate / top) * (height - 4);
  context.beginPath();
  panel.rates.forEach((rate, i) => context.lineTo(x(i), y(rate)));
  context.strokeStyle = color("--used");
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(0, height);
  context.fillStyle = color("--water-wash");
  context.globalCompositeOperation = "destination-over";
  context.fill();
}

// One cell a block; a cell stands for several when there are more blocks than fit.
function drawBlocks(blocks) {
  const {context, width, height} = prepareCanvas($("blocks"));
  let cell = 14;
  while (cell > 6 && Math.floor(width / cell) * Math.floor(height / cell) < blocks.total) --cell;
  const columns = Math.floor((width + 1) / cell);
  const rows = Math.floor(height / cell);
  const cells = Math.max(1, Math.min(columns * rows, blocks.total));
  const each = blocks.total / cells;
  const used = blocks.in_use === 0 ? 0 : Math.max(1, Math.round(blocks.in_use / each));
  const cached = blocks.cached === 0 ? 0 : Math.max(1, Math.round(blocks.cached / each));
  const colors = {used: color("--used"), cached: color("--cached"), free: color("--free")};
  for (let i = 0; i < cells; ++i) {
    context.fillStyle = i < used ? colors.used : i < used + cached ? colors.cached : colors.free;
    context.fillRect((i % columns) * cell, Math.floor(i / columns) * cell, cell - 2, cell - 2);
  }
  $("blocks").setAttribute("aria-label", `KV blocks: ${blocks.in_use} in use, ${blocks.cached} cached, ${blocks.free} free`);
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
}

function showLoad(now) {
  const last = panel.last || now;
  const seconds = now.uptime_s - last.uptime_s;
  const rate = seconds > 0 ? Math.max(0, now.generation_tokens - last.generation_tokens) / seconds : 0;
  panel.last = now;
  panel.rates.push(rate);
  panel.rates.shift();
  const texts = {
    "rate": count(rate),
    "running": count(now.num_running),
    "waiting": count(now.num_waiting),
    "step": now.num_steps ? now.last_step_ms.toFixed(now.last_step_ms < 100 ? 1 : 0) : "–",
    "kv-used": count(now.kv_blocks.in_use),
    "kv-cached": count(now.kv_blocks.cached),
    "kv-free": count(now.kv_blocks.free),
    "prompt-tokens": count(now.prompt_tokens),
    "hit-rate": now.prefix_cache_queries ? `${((100 * now.prefix_cache_hits) / now.prefix_cache_queries).toFixed(0)} %` : "–",
    "generated": count(now.generation_tokens),
    "preemptions": count(now.num_preemptions),
    "uptime": duration(now.uptime_s),
  };
  for (const [id, text] of Object.entries(texts)) $(id).textContent = text;
  drawRates();
  drawBlocks(now.kv_blocks);
}

function showHealth(state, text) {
  $("health").dataset.state = state;
  if ($("health").textContent !== text) $("health").textContent = text;
}

async function poll() {
  try {
    if (!document.hidden && !$("panel").hidden && !$("key-dialog").open) {
      showLoad(await getJson("load"));
      showHealth("ok", "running");
    } else if (!document.hidden) {
      await getJson("health");
      showHealth("ok", "running");
    }
  } catch (error) {
    showHealth("bad", error.status === 401 ? "needs a key" : error.status ? `status ${error.status}` : "not reachable");
  }
  setTimeout(poll, kPollMs);
}
