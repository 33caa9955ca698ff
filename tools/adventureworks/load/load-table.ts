import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Client } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { type Table, nameOf } from "../catalogue";
import type { TableData } from "../data/table-data";
import { columnList, quoted } from "../schema/tables";
import { copyText } from "./copy-text";

/** Streams a table's rows to the server with backpressure. */
export async function loadTable(client: Client, table: Table, data: TableData): Promise<void> {
  const columns = columnList(table.columns.map((column) => column.name));
  const copy = client.query(copyFrom(`COPY ${quoted(nameOf(table))} (${columns}) FROM STDIN`));
  await pipeline(Readable.from(copyText(table, data), { objectMode: true, highWaterMark: 2 }), copy);
}
