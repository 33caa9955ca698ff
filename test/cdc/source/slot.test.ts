import assert from "node:assert/strict";
import { namesOf, testSlots } from "./slots";

describe("names of slots and publications", () => {
  it("are valid, repeatable and distinct", () => {
    const names = namesOf("Ünser Großer-Umzug ".repeat(9), "My Database");
    for (const name of Object.values(names)) assert.match(name as string, /^[a-z0-9_]{1,63}$/);
    assert.deepEqual(names, namesOf("Ünser Großer-Umzug ".repeat(9), "My Database"));
    assert.notEqual(namesOf("a_b", "c").slot, namesOf("a", "b_c").slot);
    assert.notEqual(namesOf("A", "c").slot, namesOf("a", "c").slot);
    assert.notEqual(namesOf("a", "c").slot, namesOf("a", "c", 5433).slot, "a name is unique on its target only");
  });
});

testSlots(18);
