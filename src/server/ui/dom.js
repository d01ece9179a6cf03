"use strict";
// Small helpers. Text from the model or the user only ever becomes a text node: nothing in this page parses HTML,
// and the page's Content-Security-Policy (trusted types) makes the browser refuse it.

const $ = (id) => document.getElementById(id);

// element("p", {class: "hint", title: "t"}, "text", child, ...)
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const button = (label, onclick, title) => element("button", {type: "button", title, onclick}, label);

// Remembered between visits; a browser that forbids storage only forgets.
function load(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem("millrace." + key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function store(key, value) {
  try {
    localStorage.setItem("millrace." + key, JSON.stringify(value));
  } catch {
    // Full or forbidden.
  }
}

function announce(text) {
  $("announcer").textContent = text;
}

function count(value) {
  return Math.round(value).toLocaleString("en-US");
}
