// One video at a time: show it, take a key, tell the server, show the next. The server is the only memory.
"use strict";

const FRAME_MS = 1100;
const SAID_MS = 2600;
const LETTERS = { 5: "e", 4: "g", 3: "p", 2: "o", 1: "n" };
const SCORES = { ...Object.fromEntries(Object.entries(LETTERS).map(([score, letter]) => [letter, Number(score)])) };
for (const score of [1, 2, 3, 4, 5]) SCORES[score] = score;

const token = document.querySelector('meta[name="lookreel-token"]').content;
const by = (id) => document.getElementById(id);
const view = { state: null, item: null, frame: 0, playing: true, busy: false, saidTimer: 0, ahead: new Map() };

// How long the item was looked at: the time while the page was hidden does not count.
const watch = { since: null, looked: 0 };
const lookedSeconds = () => (watch.looked + (watch.since === null ? 0 : performance.now() - watch.since)) / 1000;
function restartWatch() {
  watch.looked = 0;
  watch.since = document.hidden ? null : performance.now();
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    watch.looked = lookedSeconds() * 1000;
    watch.since = null;
  } else if (watch.since === null) {
    watch.since = performance.now();
  }
});

// What the server says; with a body it is told something, which it has on its disk when it answers.
async function ask(path, body) {
  const posted = { method: "POST", headers: { "X-Lookreel-Token": token, "Content-Type": "application/json" } };
  const failed = body === undefined ? "The video cannot be shown." : "Nothing was saved.";
  const answer = await fetch(path, body === undefined ? {} : { ...posted, body: JSON.stringify(body) }).catch(() => {
    throw new Error(`${failed} The server does not answer: start lookreel judge label again.`);
  });
  const read = await answer.json().catch(() => ({ error: "Its answer cannot be read." }));
  if (!answer.ok) throw new Error(`${failed} ${read.error}`);
  return read;
}

function setBusy(busy) {
  view.busy = busy;
  document.body.ariaBusy = String(busy);
}

// One thing at a time; what fails is said, and the item stays where it was.
async function doing(what) {
  if (view.busy) return;
  setBusy(true);
  try {
    await what();
    by("alert").hidden = true;
  } catch (error) {
    const reload = make("button", { type: "button", textContent: "Reload" });
    reload.addEventListener("click", () => location.reload());
    by("alert").replaceChildren(error.message, reload);
    by("alert").hidden = false;
  } finally {
    setBusy(false);
  }
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function say(words) {
  by("said").textContent = words;
  by("said").classList.add("shown");
  clearTimeout(view.saidTimer);
  view.saidTimer = setTimeout(() => by("said").classList.remove("shown"), SAID_MS);
}

function nameOf(grade) {
  if (grade === null) return "cannot tell";
  const label = view.state.categories.find((category) => category.score === grade).label;
  return plain(label);
}

function plain(label) {
  const words = label.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

// --- What is shown

function showState(state) {
  view.state = state;
  const answered = state.n_graded + state.n_skipped;
  by("bar").max = state.n_items;
  by("bar").value = answered;
  by("count").textContent = `${answered} of ${state.n_items}`;
  by("grader").textContent = state.grader;
  by("undo").disabled = answered === 0;
}

function makeCategories(categories) {
  for (const category of categories) {
    const [first, ...rest] = plain(category.label).split(" ");
    const name = make("strong", {}, first, make("span", { className: "rest", textContent: ` ${rest.join(" ")}` }));
    name.append(make("kbd", { textContent: LETTERS[category.score], ariaHidden: "true" }));
    const button = make(
      "button",
      { type: "button" },
      make("span", { className: "score", textContent: category.score }),
      name,
      make("span", { className: "definition", textContent: category.definition }),
      make("span", { className: "evidence", textContent: category.evidence }),
    );
    button.dataset.score = category.score;
    button.addEventListener("click", () => grade(category.score));
    by("categories").append(button);
    by("meanings").append(
      make("dt", { textContent: `${category.score}  ${plain(category.label)}` }),
      make("dd", {}, category.definition, make("i", { textContent: category.evidence })),
    );
  }
}

async function fetchItem(place) {
  const item = await ask(`/api/items/${place}`);
  const photos = item.products.map((product) => product.photo).filter(Boolean);
  // Kept, so that the next item's pictures are there before it is shown.
  const pictures = [...photos, ...item.video.frames.map((frame) => frame.src)].map((src) => make("img", { src }));
  return { item, pictures };
}

async function goTo(place) {
  const kept = view.ahead.get(place);
  view.ahead.clear();
  const { item } = (await kept?.catch(() => null)) ?? (await fetchItem(place));
  showItem(item);
  if (place + 1 < view.state.n_items) {
    const next = fetchItem(place + 1);
    next.catch(() => {}); // asked again when it is needed
    view.ahead.set(place + 1, next);
  }
}

function showItem(item) {
  const before = view.item;
  view.item = item;
  document.body.classList.toggle("changed", item.changed && (before === null || before.place !== item.place));
  showHistory(item.products);
  showVideo(item.video);
  showAnswer(item);
  by("done").hidden = true;
  by("desk").hidden = false;
  by("video-title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  restartWatch();
}

function showHistory(products) {
  const words = products.length === 1 ? "The only product they looked at" : `The ${products.length} products they looked at last`;
  const order = products.length === 1 ? "" : " most recent first";
  by("history-title").replaceChildren(words, make("small", { textContent: order }));
  by("products").dataset.rows = Math.ceil(products.length / 4);
  by("products").replaceChildren(
    ...products.map((product, n) => {
      const title = make("p", { textContent: product.title, title: product.title });
      const alt = `Photo ${n + 1} of ${products.length}: ${product.title}`;
      const photo = product.photo
        ? make("img", { src: product.photo, alt })
        : make("div", { className: "none", textContent: "no photo" });
      return make("li", {}, photo, title);
    }),
  );
  by("products").scrollLeft = 0;
}

function showVideo(video) {
  by("video-title").textContent = video.title || "Without a title";
  by("strip").replaceChildren(
    ...video.frames.map((frame, n) => {
      const alt = `Frame ${n + 1} of ${video.frames.length}, at ${frame.time_s.toFixed(1)} seconds`;
      const button = make("button", { type: "button" }, make("img", { src: frame.src, alt }));
      button.addEventListener("click", () => {
        play(false);
        showFrame(n);
      });
      return make("li", {}, button);
    }),
  );
  showFrame(0);
}

function showFrame(n) {
  view.frame = n;
  const buttons = by("strip").querySelectorAll("button");
  buttons.forEach((button, place) => button.setAttribute("aria-current", String(place === n)));
  const thumb = buttons[n].firstChild;
  by("frame").src = thumb.src;
  by("frame").alt = thumb.alt;
}

function showAnswer(item) {
  const given = item.answer;
  for (const button of by("categories").children) {
    button.setAttribute("aria-pressed", String(given !== null && given.grade === Number(button.dataset.score)));
  }
  by("skip").setAttribute("aria-pressed", String(given !== null && given.grade === null));
  by("back").disabled = item.place === 0;
  by("on").disabled = !mayGoOn(item);
}

// Answered items may be looked at again; what lies behind the first open one stays unseen until it is its turn.
function mayGoOn(item) {
  const { place, n_items } = view.state;
  return item.place + 1 < n_items && item.place < (place ?? n_items);
}

function showDone() {
  const { n_graded, n_skipped, grader } = view.state;
  const skipped = n_skipped ? `, ${n_skipped} skipped` : "";
  by("done-words").textContent = `${n_graded} graded${skipped} by ${grader}. All is saved; you may close this page.`;
  by("desk").hidden = true;
  by("done").hidden = false;
  by("done-title").focus({ preventScroll: true });
}

function play(on) {
  view.playing = on;
  by("play").replaceChildren(on ? "Pause" : "Play", make("kbd", { textContent: "space", ariaHidden: "true" }));
}

// --- What can be done

const grade = (score) => doing(async () => {
  if (by("desk").hidden) return;
  const { place } = view.item;
  const again = view.item.answer !== null;
  const seconds = Math.min(86400, Math.round(lookedSeconds() * 100) / 100);
  showState(await ask(`/api/items/${place}/grade`, { grade: score, seconds }));
  say(score === null ? "Skipped: cannot tell" : `${score} · ${nameOf(score)}`);
  const next = again && mayGoOn(view.item) ? place + 1 : view.state.place;
  if (next === null) showDone();
  else await goTo(next);
});

const undo = () => doing(async () => {
  if (view.state.n_graded + view.state.n_skipped === 0) return;
  const state = await ask("/api/undo", {});
  showState(state);
  view.ahead.clear();
  await goTo(state.undone);
  say("Undone");
});

const step = (by_) => doing(async () => {
  if (by("desk").hidden) {
    if (by_ < 0) await goTo(view.state.n_items - 1);
    return;
  }
  const place = view.item.place + by_;
  if (place < 0 || (by_ > 0 && !mayGoOn(view.item))) return;
  view.ahead.clear();
  await goTo(place);
});

function moveChoice(by_) {
  const buttons = [...by("categories").children];
  const here = buttons.indexOf(document.activeElement);
  const next = here < 0 ? (by_ > 0 ? 0 : buttons.length - 1) : Math.min(buttons.length - 1, Math.max(0, here + by_));
  buttons[next].focus();
}

const KEYS = {
  s: () => grade(null),
  u: undo,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ArrowUp: () => moveChoice(-1),
  ArrowDown: () => moveChoice(1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return; // a held key is one answer
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === " " && document.activeElement.closest("button, summary") === null) {
    play(!view.playing);
  } else if (Object.hasOwn(SCORES, key)) {
    grade(SCORES[key]);
  } else if (Object.hasOwn(KEYS, key)) {
    KEYS[key]();
  } else {
    return;
  }
  event.preventDefault();
});

by("play").addEventListener("click", () => play(!view.playing));
by("skip").addEventListener("click", () => grade(null));
by("undo").addEventListener("click", undo);
by("done-undo").addEventListener("click", undo);
by("back").addEventListener("click", () => step(-1));
by("on").addEventListener("click", () => step(1));

setInterval(() => {
  const n = by("strip").children.length;
  if (view.playing && n > 1 && !document.hidden) showFrame((view.frame + 1) % n);
}, FRAME_MS);

play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
doing(async () => {
  const state = await ask("/api/state");
  showState(state);
  makeCategories(state.categories);
  if (state.place === null) showDone();
  else await goTo(state.place);
});
