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
