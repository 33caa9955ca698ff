export interface DatabaseSetting {
  readonly role: string | undefined;
  readonly name: string;
  /** In the form of pg_db_role_setting. */
  readonly value: string;
}

export interface DatabasePrivilege {
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  readonly privilege: string;
  readonly grantable: boolean;
}

/** Properties of a database that are not part of its dump. */
export interface DatabaseProperties {
  /** `UTF8`, `LATIN1`, `SQL_ASCII`, ... */
  readonly encoding: string;
  /** LC_COLLATE and LC_CTYPE. */
  readonly collate: string;
  readonly ctype: string;
  /** Before 15 always `libc`. */
  readonly provider: "libc" | "icu" | "builtin";
  /** The provider's own locale and, for ICU, its rules. */
  readonly locale: string | undefined;
  readonly icuRules: string | undefined;
  readonly comment: string | undefined;
  /** ALTER DATABASE ... SET, and ALTER ROLE ... IN DATABASE ... SET if `role` is set. */
  readonly settings: readonly DatabaseSetting[];
  /** -1: no limit. 0: only superusers may connect. */
  readonly connectionLimit: number;
  /** Undefined: the default privileges of databases. */
  readonly privileges: readonly DatabasePrivilege[] | undefined;
}
