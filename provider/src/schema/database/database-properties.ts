export interface DatabaseSetting {
  readonly role: string | undefined;
  readonly name: string;
  /** As pg_db_role_setting keeps it. */
  readonly value: string;
}

export interface DatabasePrivilege {
  /** Undefined: PUBLIC. */
  readonly grantee: string | undefined;
  readonly privilege: string;
  readonly grantable: boolean;
}

/** Properties of a database that a dump of its content lacks. */
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
  /** ALTER DATABASE ... SET, and ALTER ROLE ... IN DATABASE ... SET where a role is named. */
  readonly settings: readonly DatabaseSetting[];
  /** -1: none. 0 keeps everybody out but superusers. */
  readonly connectionLimit: number;
  /** Undefined: the privileges that every database has by default. */
  readonly privileges: readonly DatabasePrivilege[] | undefined;
}
