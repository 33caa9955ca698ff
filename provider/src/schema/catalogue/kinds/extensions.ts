import { type Kind, ofDatabase } from "../kind.js";

export const extensions: Kind = () => ({ ...ofDatabase("pg_extension", "o.extname"), kind: "'extension'" });
