import type { Client } from "pg";
import type { Table } from "../postgres/tables.js";
import type { Work } from "./work.js";
export async function compareOneTable(_w: Work, _d: string, _s: { source: Client; target: Client; table: Table }): Promise<void> {}
export async function compareAtPoint(_w: Work, _d: string, _s: string): Promise<void> {}
