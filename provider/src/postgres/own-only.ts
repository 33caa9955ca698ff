/** An SQL condition: an object of the catalogue is not an extension's, with which those come and change. */
export const notExtensionMember = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;
