import { quoteLiteral, relationKey } from "../../postgres/identifiers.js";
import type { Entry } from "../sql/toc-entries.js";
import { follows, identifierName } from "../sql/tokenize.js";
import { type Statement, relationAt, splitStatements } from "../sql/statements.js";

/** `ALTER TABLE ONLY schema.table ADD CONSTRAINT name ...`, and the other statements of its entry. */
interface Exclusion {
  readonly key: string;
  readonly entry: Entry;
  readonly add: Statement;
  readonly others: readonly Statement[];
}

/**
 * Adds exclusion constraints (EXCLUDE, and WITHOUT OVERLAPS from 18 on) to whole partition trees. pg_dump attaches
 * partitions' indexes one by one, which servers refuse for these constraints. Adding it to the tree creates the
 * partitions' constraints with names chosen by the server. At the place of the attachment, the partition's constraint
 * is renamed, followed by the other statements of its entry and its comments.
 */
export function addExclusionsToTrees(entries: readonly Entry[]): readonly Entry[] {
  const exclusions = new Map(entries.flatMap((entry) => exclusionOf(entry) ?? []).map((one) => [one.key, one]));
  if (exclusions.size === 0) return entries;
  const attachments = entries.flatMap((entry) => attachmentOf(entry, exclusions) ?? []);
  const attached = new Map(attachments.map((attachment) => [attachment.entry, attachment]));
  const partitions = new Set(attachments.map(({ child }) => child.entry));
  const trees = new Map(attachments.map(({ parent }) => [parent.entry, parent]));
  const ids = new Set([...partitions].map(({ id }) => id));
  const comments = entries.filter(
    ({ type, dependencies }) => type === "COMMENT" && dependencies.some((id) => ids.has(id)),
  );
  return entries.flatMap((entry) => {
    const attachment = attached.get(entry);
    if (attachment) {
      const { id } = attachment.child.entry;
      return [ofPartition(attachment), ...comments.filter(({ dependencies }) => dependencies.includes(id))];
    }
    if (partitions.has(entry) || comments.includes(entry)) return [];
    const tree = trees.get(entry);
    return tree ? [ofTree(tree)] : [entry];
  });
}

/** An entry that attaches an index, and both indexes. */
interface Attachment {
  readonly entry: Entry;
  readonly parent: Exclusion;
  readonly child: Exclusion;
}

function exclusionOf(entry: Entry): Exclusion | undefined {
  if (entry.type !== "CONSTRAINT" || !/EXCLUDE|WITHOUT OVERLAPS/.test(entry.sql)) return undefined;
  const [add, ...others] = splitStatements(entry.sql);
  const table = add && relationAt(add, 3);
  const name = add?.tokens[8];
  if (!add || !table || !name || !follows(add.tokens, 0, "ALTER", "TABLE", "ONLY")) return undefined;
  const isExclusion = add.tokens.some(
    (_, index) =>
      (index === 9 && follows(add.tokens, index, "EXCLUDE")) || follows(add.tokens, index, "WITHOUT", "OVERLAPS"),
  );
  return isExclusion
    ? { key: relationKey({ schema: table.schema, name: identifierName(name) }), entry, add, others }
    : undefined;
}

/** `ALTER INDEX schema.parent ATTACH PARTITION schema.child`, if both are exclusion constraints. */
function attachmentOf(entry: Entry, exclusions: ReadonlyMap<string, Exclusion>): Attachment | undefined {
  const [attach] = entry.type === "INDEX ATTACH" ? splitStatements(entry.sql) : [];
  const [parentName, childName] = attach ? [relationAt(attach, 2), relationAt(attach, 7)] : [];
  const parent = parentName && exclusions.get(relationKey(parentName));
  const child = childName && exclusions.get(relationKey(childName));
  return parent && child && { entry, parent, child };
}

/** Renames the partition's constraint as on the source, and adds the other statements of its entry. */
function ofPartition({ parent, child: { entry, add, others } }: Attachment): Entry {
  const [table, name] = [relationText(add), add.tokens[8]!.text];
  const rename = `DO ${quoteLiteral(`DECLARE given name;
BEGIN
  SELECT k.conname INTO given FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
   WHERE k.conrelid = ${quoteLiteral(table)}::pg_catalog.regclass AND p.conrelid = ${quoteLiteral(relationText(parent.add))}::pg_catalog.regclass
     AND p.conname = ${quoteLiteral(identifierName(parent.add.tokens[8]!))};
  IF given <> ${quoteLiteral(identifierName(add.tokens[8]!))} THEN
    EXECUTE pg_catalog.format(${quoteLiteral(`ALTER TABLE ${table.replaceAll("%", "%%")} RENAME CONSTRAINT %I TO ${name.replaceAll("%", "%%")}`)}, given);
  END IF;
END`)}`;
  return { ...entry, sql: [rename, ...others.map(({ text }) => text)].map((text) => `${text};`).join("\n\n") };
}

const relationText = ({ text, tokens }: Statement): string => text.slice(tokens[3]!.start, tokens[5]!.end);

function ofTree({ entry, add, others }: Exclusion): Entry {
  const only = add.tokens[2]!;
  const whole = add.text.slice(0, only.start) + add.text.slice(only.end).trimStart();
  return { ...entry, sql: [whole, ...others.map(({ text }) => text)].map((text) => `${text};`).join("\n\n") };
}
