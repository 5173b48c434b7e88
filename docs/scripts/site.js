// What the theme leaves out for readers who use a keyboard or a screen reader.

const search = document.querySelector(".md-search");
search?.setAttribute("aria-label", "Search");

// The theme wraps wide tables and adds copy buttons when the page is there, and later.
function tend() {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Table, wider than the page");
    }
  }
  // A page with forty blocks would have forty landmarks of the same name.
  for (const bar of document.querySelectorAll("nav.md-code__nav")) {
    const box = document.createElement("div");
    box.className = bar.className;
    box.append(...bar.childNodes);
    bar.replaceWith(box);
  }
}

const content = document.querySelector(".md-content");
if (content) {
  new MutationObserver(tend).observe(content, { childList: true, subtree: true });
}
addEventListener("resize", tend);
tend();

// A microscope follows the system's light or dark by itself; here it follows the page's.
function match(frame) {
  const inside = frame.contentDocument?.documentElement; // null where the browser keeps files apart
  const wanted = document.body.dataset.mdColorScheme === "slate" ? "dark" : "light";
  if (inside?.dataset.theme && inside.dataset.theme !== wanted) {
    inside.querySelector(".theme-button")?.click();
  }
}

const frames = document.querySelectorAll(".frame iframe");
for (const frame of frames) {
  frame.addEventListener("load", () => match(frame));
}
new MutationObserver(() => frames.forEach(match)).observe(document.body, {
  attributeFilter: ["data-md-color-scheme"],
});

// A lesson is done once the page in the frame before it is as the lesson asks, such as "step=collapse-2 left_out=7".
function holds(condition, told) {
  const [, name, sign, wanted] = condition.match(/^([\w.]+)(>=|=)(.+)$/);
  const fragment = new URLSearchParams(told.address ?? "");
  const [key, length] = name.split(".");
  const value = length ? told[key]?.length : (told[key] ?? fragment.get(key));
  if (sign === ">=") return Number(value) >= Number(wanted);
  return Array.isArray(value) ? value.map(String).includes(wanted) : String(value) === wanted;
}

function finish(lesson) {
  lesson.classList.add("done");
  lesson.querySelector(".lesson-state").textContent = "✓ Done";
  const answer = lesson.querySelector("details");
  if (answer) answer.open = true;
}

let before = null;
for (const element of document.querySelectorAll(".frame, .lesson")) {
  if (element.matches(".frame")) {
    before = element.querySelector("iframe");
    continue;
  }
  const [frame, conditions] = [before, element.dataset.until.split(" ")];
  const state = document.createElement("p");
  state.className = "lesson-state";
  state.setAttribute("role", "status");
  element.append(state);
  addEventListener("message", ({ source, data }) => {
    if (source !== frame.contentWindow || data?.kind !== "batchprop") return;
    if (conditions.every((condition) => holds(condition, data))) finish(element);
  });
}
