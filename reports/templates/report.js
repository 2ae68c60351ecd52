"use strict";
const list = document.getElementById("finding-list");
const filter = document.getElementById("filter");

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.content.textContent), (character) => character.charCodeAt(0));
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.getElementById(packed.dataset.into).innerHTML = await text;
  packed.remove();
}

let unpacking;
function unpackList() {
  const packed = document.querySelector("template[data-into=finding-list]");
  if (packed && !unpacking) {
    document.getElementById("show-all").textContent = "Unpacking …";
    unpacking = unpack(packed).then(() => document.getElementById("digest").remove());
  }
  return unpacking;
}

function copyParts(element) {
  for (const part of element.querySelectorAll("[data-same]")) {
    part.textContent = document.getElementById(part.dataset.same).textContent;
    delete part.dataset.same;
  }
}

async function reveal() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (name && !document.getElementById(name)) await unpackList();
  const target = document.getElementById(name);
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView();
}

async function showMatching() {
  await unpackList();
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, reason = null;
  for (const element of list.children) {
    if (element.matches(".reason")) {
      reason = element;
      reason.hidden = words.length > 0;
    }
    if (!element.matches(".finding")) continue;
    const text = (element.className + element.querySelector("summary").textContent).toLowerCase();
    element.hidden = !words.every((word) => text.includes(word));
    if (element.hidden) continue;
    reason.hidden = false;
    shown += 1;
  }
  document.getElementById("filtered").textContent = words.length ? shown + " shown" : "";
}

addEventListener("hashchange", reveal);
addEventListener("toggle", (event) => copyParts(event.target), true);
filter?.addEventListener("input", showMatching);
document.getElementById("show-all")?.addEventListener("click", unpackList);
const tables = document.querySelectorAll("template[data-into]:not([data-into=finding-list])");
Promise.all([...tables].map(unpack)).then(reveal);
