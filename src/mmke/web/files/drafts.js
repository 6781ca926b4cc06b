// Corrections that are not saved yet. They stay in this browser, by person and content of the record, so that they
// survive a reload and a server that ends; a record whose content changed has another draft.

const name = (person, content) => `mmke-draft ${person} ${content}`;

export function readDraft(person, content) {
  try {
    return JSON.parse(localStorage.getItem(name(person, content)));
  } catch {
    return null;
  }
}

/** Keep a draft; false where the browser does not keep anything (its storage is full or switched off). */
export function keepDraft(person, content, corrections) {
  try {
    localStorage.setItem(name(person, content), JSON.stringify(corrections));
    return true;
  } catch {
    return false;
  }
}

export function dropDraft(person, content) {
  try {
    localStorage.removeItem(name(person, content));
  } catch {
    // Then there is none.
  }
}
