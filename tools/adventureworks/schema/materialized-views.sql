CREATE MATERIALIZED VIEW person.vstateprovincecountryregion AS
SELECT s.stateprovinceid, s.stateprovincecode, s.isonlystateprovinceflag, s.name AS stateprovincename, s.territoryid,
       c.countryregioncode, c.name AS countryregionname
  FROM person.stateprovince s
  JOIN person.countryregion c ON c.countryregioncode = s.countryregioncode;

CREATE UNIQUE INDEX ix_vstateprovincecountryregion
  ON person.vstateprovincecountryregion (stateprovinceid, countryregioncode);

CREATE MATERIALIZED VIEW production.vproductanddescription AS
SELECT p.productid, p.name, m.name AS productmodel, x.cultureid, d.description
  FROM production.product p
  JOIN production.productmodel m ON m.productmodelid = p.productmodelid
  JOIN production.productmodelproductdescriptionculture x ON x.productmodelid = m.productmodelid
  JOIN production.productdescription d ON d.productdescriptionid = x.productdescriptionid;

CREATE UNIQUE INDEX ix_vproductanddescription ON production.vproductanddescription (cultureid, productid);
