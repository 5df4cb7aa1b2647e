// The start page: log in, choose a password, see and join courses. The editor comes later.

const $ = (id) => document.getElementById(id);

/** One request to the API. Resolves to {ok, status, body}; a refusal's words are in body.detail. */
async function api(method, path, body) {
  const headers = { "X-Cloister": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch("/api/v1" + path, {
    method, headers, credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const type = answer.headers.get("content-type") || "";
  return { ok: answer.ok, status: answer.status, body: type.includes("json") ? await answer.json() : null };
}

function say(text) {
  $("message").textContent = text;
}

function show(section) {
  for (const id of ["login", "change", "courses"]) $(id).hidden = id !== section;
  const first = $(section).querySelector("input");
  if (first && section !== "courses") first.focus();
}

// Nothing is asked of the server before somebody has logged in here: a whole class behind one address
// shares the limit for requests without a session. The mark holds no secret.
const mark = {
  set: () => localStorage.setItem("cloister.session", "yes"),
  clear: () => localStorage.removeItem("cloister.session"),
  there: () => localStorage.getItem("cloister.session") === "yes",
};

function loggedOut(text) {
  mark.clear();
  $("who").hidden = $("logout").hidden = true;
  say(text || "");
  show("login");
}

function refusal(answer) {
  if (answer.status === 401) return loggedOut("Please log in again.");
  say((answer.body && (answer.body.detail || answer.body.title)) || `The server said ${answer.status}.`);
}

async function listCourses() {
  const answer = await api("GET", "/courses");
  if (!answer.ok) return refusal(answer);
  const items = answer.body.items.map((course) => {
    const item = document.createElement("li");
    item.textContent = [course.code, course.title, course.term].filter(Boolean).join(" · ");
    return item;
  });
  $("course-list").replaceChildren(...items);
  if (!items.length) say("You are in no course yet: enter the code that you were given.");
  show("courses");
}

async function loggedIn(me) {
  mark.set();
  $("who").textContent = me.name || me.login;
  $("who").hidden = $("logout").hidden = false;
  say("");
  if (me.must_change_password) show("change");
  else await listCourses();
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await api("POST", "/login", { login: $("name").value, password: $("password").value });
  $("password").value = "";
  if (answer.ok) await loggedIn(answer.body);
  else if (answer.status === 401) say("The name or the password is wrong.");
  else refusal(answer);
});

$("change-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await api("POST", "/me/password", { old: $("old").value, new: $("new").value });
  $("old").value = $("new").value = "";
  if (answer.ok) await listCourses();
  else refusal(answer);
});

$("join-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await api("POST", "/join", { code: $("code").value.trim() });
  $("code").value = "";
  if (answer.ok) await listCourses();
  else refusal(answer);
});

$("logout").addEventListener("click", async () => {
  await api("POST", "/logout");
  loggedOut("You are logged out.");
});

if (mark.there()) {
  const answer = await api("GET", "/me");
  if (answer.ok) await loggedIn(answer.body);
  else loggedOut();
} else {
  show("login");
}
