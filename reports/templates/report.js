"use strict";
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
const filter = document.getElementById("filter");
if (filter) filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const cause of document.querySelectorAll(".cause")) {
    let any = false;
    for (const finding of cause.querySelectorAll(".finding")) {
      const text = (finding.className + finding.querySelector("summary").textContent).toLowerCase();
      finding.hidden = !words.every((word) => text.includes(word));
      if (!finding.hidden) { any = true; shown += 1; }
    }
    cause.hidden = !any;
  }
  document.getElementById("filtered").textContent = words.length ? shown + " shown" : "";
});
