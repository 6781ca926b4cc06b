// Tables whose headings sort: a click or Enter sorts by the column, a second one the other way round.

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  for (const [index, heading] of headings.entries()) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(table, headings, index));
  }
}

function sort(table, headings, index) {
  const heading = headings[index];
  const numbers = heading.classList.contains("number");
  const first = numbers && index > 0 ? "descending" : "ascending"; // the largest figure first, the first place first
  const other = first === "ascending" ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? other : first;
  for (const each of headings) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const body = table.querySelector("tbody.sorted") ?? table.tBodies[0]; // the floor stands above it, in a body of its own
  const rows = [...body.rows];
  rows.sort((a, b) => compared(a.cells[index], b.cells[index], numbers, sign));
  body.append(...rows);
}

// What has no figure stays at the end, whichever way is sorted.
function compared(a, b, numbers, sign) {
  if (!numbers) return sign * a.textContent.localeCompare(b.textContent);
  const [left, right] = [a.dataset.value, b.dataset.value];
  if (left === "" || right === "") return (left === "") - (right === "");
  return sign * (Number(left) - Number(right));
}
