// The page is whole without this. It fetches parts anew and sends requests without a reload.
//
//   data-from               a part: where it comes from
//   data-every              in a part: after how many seconds it is fetched again
//   data-answer             a form: the id of what its answer is put into
//   data-for                a form: the id of the part that it chooses from
"use strict";

const FOCUSED = "a, summary, [tabindex]";
const SCROLLED = ".lines, .scroll";

const isSelected = part => {
  const selection = document.getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
};

const isAtEnd = box => box.scrollHeight - box.scrollTop - box.clientHeight < 30;

// Puts markup of our own server, which escapes what is not ours, in the place of the old. What
// was open, focused or scrolled stays so; a log that was read to its end goes on to the new one.
const put = (part, markup) => {
  const open = [...part.querySelectorAll("details[open]")].map(one => one.id);
  const focused = [...part.querySelectorAll(FOCUSED)].indexOf(document.activeElement);
  const scrolled = [...part.querySelectorAll(SCROLLED)]
    .map(box => ({left: box.scrollLeft, top: box.scrollTop, atEnd: isAtEnd(box)}));
  part.innerHTML = markup;
  for (const one of part.querySelectorAll("details")) one.open ||= open.includes(one.id);
  part.querySelectorAll(SCROLLED).forEach((box, number) => {
    const {left, top, atEnd} = scrolled[number] ?? {left: 0, top: 0, atEnd: true};
    box.scrollTo(left, atEnd && box.matches(".lines") ? box.scrollHeight : top);
  });
  part.querySelectorAll(FOCUSED)[focused]?.focus({preventScroll: true});
};

const fetchNew = async part => {
  const from = part.dataset.from;
  const response = await fetch(from, {cache: "no-store"});
  if (response.status === 404) location.reload(); // it was deleted, and the page says so
  if (!response.ok) throw new Error(response.statusText);
  const markup = await response.text();
  const isStale = from !== part.dataset.from;
  if (isStale || markup === part.last || isSelected(part)) return;
  part.last = markup;
  put(part, markup);
};

const refresh = part => fetchNew(part).then(
  () => document.body.classList.remove("lost"),
  () => document.body.classList.add("lost"));

const isWanted = part => {
  const follow = document.querySelector(`[data-for="${part.id}"] .follow input`);
  return !document.hidden && (!follow || follow.checked);
};

// One at a time of each part, and none while nobody looks.
const keep = async part => {
  for (;;) {
    const {every} = part.querySelector("[data-every]").dataset;
    await new Promise(done => setTimeout(done, 1000 * every));
    if (isWanted(part)) await refresh(part);
  }
};

const send = async (form, button) => {
  const place = document.getElementById(form.dataset.answer);
  const url = new URL(form.action);
  url.searchParams.set("part", "answer");
  button.disabled = true;
  place.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch(url, {method: "POST", body});
    if (!response.ok) throw new Error(`it answered ${response.status}; reload the page`);
    put(place, await response.text());
  } catch (error) {
    place.textContent = `Not sent by the console: ${error.message}`;
  } finally {
    button.disabled = false;
    place.removeAttribute("aria-busy");
  }
};

for (const part of document.querySelectorAll("[data-from]")) keep(part);

for (const form of document.querySelectorAll("[data-answer]")) {
  form.addEventListener("submit", event => {
    event.preventDefault();
    send(form, form.querySelector("button"));
  });
  // As in other boxes for text: the modifier and Enter send.
  form.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

for (const form of document.querySelectorAll("[data-for]")) {
  const part = document.getElementById(form.dataset.for);
  const choose = event => {
    event.preventDefault();
    const chosen = new URLSearchParams(new FormData(form));
    part.dataset.from = `${part.dataset.from.split("?")[0]}?${chosen}`;
    history.replaceState(null, "", `?${chosen}`);
    refresh(part);
  };
  form.addEventListener("submit", choose);
  form.querySelector("select").addEventListener("change", choose);
  form.querySelector(".follow").hidden = false;
}

for (const lines of document.querySelectorAll(".lines")) lines.scrollTop = lines.scrollHeight;
