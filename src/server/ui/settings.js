// The settings at the left. What is left empty is not sent, so that the model's own defaults hold.

const kControls = [
  {field: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, rest: 1, title: "0 always takes the most likely token"},
  {field: "top_p", label: "Top p", min: 0.01, max: 1, step: 0.01, rest: 1, title: "Keep the likeliest tokens of this total probability"},
  {field: "min_p", label: "Min p", min: 0, max: 1, step: 0.01, rest: 0, title: "Keep tokens this likely, relative to the best"},
  {field: "top_k", label: "Top k", min: 0, max: 1000000, step: 1, title: "Keep the k likeliest tokens; 0 keeps all"},
  {field: "repetition_penalty", label: "Repetition penalty", min: 0.01, max: 10, step: 0.01, title: "Above 1: tokens seen before become less likely"},
  {field: "max_tokens", label: "Tokens at most", min: 1, max: 1000000, step: 1, title: "Length of an answer"},
  {field: "seed", label: "Seed", min: 0, max: 9000000000000000, step: 1, title: "The same seed gives the same answer, whatever else runs"},
];

const settings = {system: "", logprobs: true, tint: false, sampling: {}, ...load("settings", {})};

function saveSettings() {
  store("settings", settings);
}

function buildControl({field, label, min, max, step, rest, title}) {
  const number = element("input", {type: "number", id: field, min, max, step, placeholder: "model's", title});
  const range = rest === undefined ? null : element("input", {type: "range", min, max, step, "aria-label": label, tabindex: "-1"});
  const row = element("div", {class: "control"}, element("label", {for: field, title}, label), number, range);
  const show = () => {
    const value = settings.sampling[field];
    row.classList.toggle("unset", value === undefined);
    if (document.activeElement !== number) number.value = value ?? "";
    if (range) range.value = value ?? rest;
  };
  const set = (text) => {
    const value = Number(text);
    if (text === "" || !Number.isFinite(value)) delete settings.sampling[field];
    else settings.sampling[field] = Math.min(max, Math.max(min, value));
    saveSettings();
    show();
  };
  number.addEventListener("input", () => set(number.value));
  number.addEventListener("change", () => { number.value = settings.sampling[field] ?? ""; });
  if (range) range.addEventListener("input", () => set(range.value));
  show();
  return {row, show};
}

function startSettings() {
  const controls = kControls.map(buildControl);
  $("sampling").append(...controls.map((control) => control.row));
  const show = () => {
    $("system").value = settings.system;
    $("logprobs").checked = settings.logprobs;
    $("tint").checked = settings.tint;
    $("log").classList.toggle("tinted", settings.tint);
    for (const control of controls) control.show();
  };
  $("system").addEventListener("input", () => { settings.system = $("system").value; saveSettings(); });
  for (const name of ["logprobs", "tint"]) {
    $(name).addEventListener("change", () => { settings[name] = $(name).checked; saveSettings(); show(); });
  }
  $("reset").addEventListener("click", () => { settings.sampling = {}; saveSettings(); show(); });
  show();
}

// The body of a request for an answer to `messages`.
function requestBody(messages) {
  const system = settings.system.trim() === "" ? [] : [{role: "system", content: settings.system}];
  return {
    messages: [...system, ...messages],
    ...settings.sampling,
    ...(settings.logprobs ? {logprobs: true, top_logprobs: 5} : {}),
    stream: true,
    stream_options: {include_usage: true},
  };
}
