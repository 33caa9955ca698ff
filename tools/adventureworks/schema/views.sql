CREATE VIEW humanresources.vemployee AS
SELECT e.businessentityid, p.title, p.firstname, p.middlename, p.lastname, p.suffix, e.jobtitle,
       h.phonenumber, t.name AS phonenumbertype, m.emailaddress, p.emailpromotion,
       a.addressline1, a.addressline2, a.city, s.name AS stateprovincename, a.postalcode,
       c.name AS countryregionname, p.additionalcontactinfo
  FROM humanresources.employee e
  JOIN person.person p USING (businessentityid)
  JOIN person.businessentityaddress b USING (businessentityid)
  JOIN person.address a USING (addressid)
  JOIN person.stateprovince s USING (stateprovinceid)
  JOIN person.countryregion c USING (countryregioncode)
  LEFT JOIN person.personphone h USING (businessentityid)
  LEFT JOIN person.phonenumbertype t USING (phonenumbertypeid)
  LEFT JOIN person.emailaddress m USING (businessentityid);

CREATE VIEW humanresources.vemployeedepartmenthistory AS
SELECT e.businessentityid, p.title, p.firstname, p.middlename, p.lastname, p.suffix, s.name AS shift,
       d.name AS department, d.groupname, h.startdate, h.enddate
  FROM humanresources.employee e
  JOIN person.person p ON p.businessentityid = e.businessentityid
  JOIN humanresources.employeedepartmenthistory h ON h.businessentityid = e.businessentityid
  JOIN humanresources.department d ON d.departmentid = h.departmentid
  JOIN humanresources.shift s ON s.shiftid = h.shiftid;

CREATE VIEW humanresources.vemployeedepartment AS
SELECT h.businessentityid, h.title, h.firstname, h.middlename, h.lastname, h.suffix, e.jobtitle,
       h.department, h.groupname, h.startdate
  FROM humanresources.vemployeedepartmenthistory h
  JOIN humanresources.employee e ON e.businessentityid = h.businessentityid
 WHERE h.enddate IS NULL;

CREATE VIEW humanresources.vjobcandidate AS
SELECT j.jobcandidateid, j.businessentityid, r.*, j.modifieddate
  FROM humanresources.jobcandidate j,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:resume' AS r), '/r:Resume' PASSING j.resume COLUMNS
         "Name.Prefix" text PATH 'r:Name/r:Prefix',
         "Name.First" text PATH 'r:Name/r:First',
         "Name.Last" text PATH 'r:Name/r:Last',
         "Skills" text PATH 'r:Skills',
         "Address.Type" text PATH 'r:Address/r:Type',
         "Address.Street" text PATH 'r:Address/r:Street',
         "Address.City" text PATH 'r:Address/r:City',
         "EMail" text PATH 'r:EMail',
         "WebSite" text PATH 'r:WebSite' DEFAULT 'none') r;

CREATE VIEW humanresources.vjobcandidateemployment AS
SELECT j.jobcandidateid, r.*
  FROM humanresources.jobcandidate j,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:resume' AS r), '/r:Resume/r:Employment' PASSING j.resume COLUMNS
         "StartDate" date PATH 'r:StartDate',
         "EndDate" date PATH 'r:EndDate',
         "OrgName" text PATH 'r:OrgName',
         "JobTitle" text PATH 'r:JobTitle',
         "Responsibility" text PATH 'r:Responsibility',
         "FunctionCategory" text PATH 'r:FunctionCategory',
         "IndustryCategory" text PATH 'r:IndustryCategory',
         "Country" text PATH 'r:Country',
         "State" text PATH 'r:State',
         "City" text PATH 'r:City') r;

CREATE VIEW humanresources.vjobcandidateeducation AS
SELECT d.jobcandidateid,
       (xpath('/r:Education/r:Level/text()', d.doc, d.ns))[1]::text AS "Level",
       (xpath('/r:Education/r:StartDate/text()', d.doc, d.ns))[1]::text::date AS "StartDate",
       (xpath('/r:Education/r:EndDate/text()', d.doc, d.ns))[1]::text::date AS "EndDate",
       (xpath('/r:Education/r:Degree/text()', d.doc, d.ns))[1]::text AS "Degree",
       (xpath('/r:Education/r:Major/text()', d.doc, d.ns))[1]::text AS "Major",
       (xpath('/r:Education/r:Gpa/text()', d.doc, d.ns))[1]::text::numeric AS "Gpa",
       (xpath('/r:Education/r:School/text()', d.doc, d.ns))[1]::text AS "School",
       (xpath('/r:Education/r:City/text()', d.doc, d.ns))[1]::text AS "City"
  FROM (SELECT j.jobcandidateid, n.ns, unnest(xpath('/r:Resume/r:Education', j.resume, n.ns)) AS doc
          FROM humanresources.jobcandidate j
         CROSS JOIN (VALUES (ARRAY[ARRAY['r', 'urn:adventureworks:resume']])) AS n (ns)) d;

CREATE VIEW person.vadditionalcontactinfo AS
SELECT p.businessentityid, p.firstname, p.middlename, p.lastname,
       (xpath('/c:AdditionalContactInfo/c:Telephone/text()', p.additionalcontactinfo, n.ns))[1]::text AS telephone,
       (xpath('/c:AdditionalContactInfo/c:Street/text()', p.additionalcontactinfo, n.ns))[1]::text AS street,
       (xpath('/c:AdditionalContactInfo/c:City/text()', p.additionalcontactinfo, n.ns))[1]::text AS city,
       (xpath('/c:AdditionalContactInfo/c:PostalCode/text()', p.additionalcontactinfo, n.ns))[1]::text AS postalcode,
       (xpath('/c:AdditionalContactInfo/c:EMail/text()', p.additionalcontactinfo, n.ns))[1]::text AS emailaddress,
       p.rowguid, p.modifieddate
  FROM person.person p
 CROSS JOIN (VALUES (ARRAY[ARRAY['c', 'urn:adventureworks:additional-contact-info']])) AS n (ns)
 WHERE p.additionalcontactinfo IS NOT NULL;

CREATE VIEW production.vproductmodelcatalogdescription AS
SELECT m.productmodelid, m.name, d.*, m.rowguid, m.modifieddate
  FROM production.productmodel m,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:product-description' AS p), '/p:ProductDescription'
         PASSING m.catalogdescription COLUMNS
         "Summary" text PATH 'p:Summary',
         manufacturer text PATH 'p:Manufacturer/p:Name',
         producturl text PATH 'p:Manufacturer/p:ProductURL',
         warrantyperiod text PATH 'p:Features/p:Warranty/p:WarrantyPeriod',
         noofyears text PATH 'p:Features/p:Maintenance/p:NoOfYears',
         wheel text PATH 'p:Features/p:Wheel',
         saddle text PATH 'p:Features/p:Saddle',
         bikeframe text PATH 'p:Features/p:BikeFrame',
         productphotoid integer PATH 'p:Picture/p:ProductPhotoID',
         material text PATH 'p:Specifications/p:Material',
         style text PATH 'p:Specifications/p:Style',
         riderexperience text PATH 'p:Specifications/p:RiderExperience') d;

CREATE VIEW production.vproductmodelinstructions AS
SELECT m.productmodelid, m.name, l.locationid, l.setuphours, l.machinehours, l.laborhours, l.lotsize, s.step,
       m.rowguid, m.modifieddate
  FROM production.productmodel m,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:manufacturing-instructions' AS i), '/i:root/i:Location'
         PASSING m.instructions COLUMNS
         locationid integer PATH '@LocationID',
         setuphours numeric PATH '@SetupHours',
         machinehours numeric PATH '@MachineHours',
         laborhours numeric PATH '@LaborHours',
         lotsize integer PATH '@LotSize',
         doc xml PATH '.') l,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:manufacturing-instructions' AS i), '/i:Location/i:step'
         PASSING l.doc COLUMNS step text PATH 'string(.)') s;

CREATE VIEW purchasing.vvendorwithaddresses AS
SELECT v.businessentityid, v.name, t.name AS addresstype, a.addressline1, a.addressline2, a.city,
       s.name AS stateprovincename, a.postalcode, c.name AS countryregionname
  FROM purchasing.vendor v
  JOIN person.businessentityaddress b ON b.businessentityid = v.businessentityid
  JOIN person.address a ON a.addressid = b.addressid
  JOIN person.stateprovince s ON s.stateprovinceid = a.stateprovinceid
  JOIN person.countryregion c ON c.countryregioncode = s.countryregioncode
  JOIN person.addresstype t ON t.addresstypeid = b.addresstypeid;

CREATE VIEW purchasing.vvendorwithcontacts AS
SELECT v.businessentityid, v.name, t.name AS contacttype, p.title, p.firstname, p.middlename, p.lastname, p.suffix,
       h.phonenumber, m.emailaddress, p.emailpromotion
  FROM purchasing.vendor v
  JOIN person.businessentitycontact b ON b.businessentityid = v.businessentityid
  JOIN person.contacttype t ON t.contacttypeid = b.contacttypeid
  JOIN person.person p ON p.businessentityid = b.personid
  LEFT JOIN person.personphone h ON h.businessentityid = p.businessentityid
  LEFT JOIN person.emailaddress m ON m.businessentityid = p.businessentityid;

CREATE VIEW sales.vindividualcustomer AS
SELECT p.businessentityid, p.title, p.firstname, p.middlename, p.lastname, p.suffix, h.phonenumber,
       m.emailaddress, p.emailpromotion, t.name AS addresstype, a.addressline1, a.addressline2, a.city,
       s.name AS stateprovincename, a.postalcode, c.name AS countryregionname, p.demographics
  FROM sales.customer u
  JOIN person.person p ON p.businessentityid = u.personid
  JOIN person.businessentityaddress b ON b.businessentityid = p.businessentityid
  JOIN person.address a ON a.addressid = b.addressid
  JOIN person.stateprovince s ON s.stateprovinceid = a.stateprovinceid
  JOIN person.countryregion c ON c.countryregioncode = s.countryregioncode
  JOIN person.addresstype t ON t.addresstypeid = b.addresstypeid
  LEFT JOIN person.personphone h ON h.businessentityid = p.businessentityid
  LEFT JOIN person.emailaddress m ON m.businessentityid = p.businessentityid
 WHERE u.storeid IS NULL;

CREATE VIEW sales.vpersondemographics AS
SELECT p.businessentityid, d.*
  FROM person.person p,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:individual-survey' AS s), '/s:IndividualSurvey'
         PASSING p.demographics COLUMNS
         totalpurchaseytd numeric PATH 's:TotalPurchaseYTD',
         datefirstpurchase date PATH 's:DateFirstPurchase',
         birthdate date PATH 's:BirthDate',
         maritalstatus text PATH 's:MaritalStatus',
         yearlyincome text PATH 's:YearlyIncome',
         gender text PATH 's:Gender',
         totalchildren integer PATH 's:TotalChildren',
         numberchildrenathome integer PATH 's:NumberChildrenAtHome',
         education text PATH 's:Education',
         occupation text PATH 's:Occupation',
         homeownerflag boolean PATH 's:HomeOwnerFlag',
         numbercarsowned integer PATH 's:NumberCarsOwned') d;

CREATE VIEW sales.vsalesperson AS
SELECT s.businessentityid, p.title, p.firstname, p.middlename, p.lastname, p.suffix, e.jobtitle, h.phonenumber,
       m.emailaddress, a.city, t.name AS territoryname, t."group" AS territorygroup,
       s.salesquota, s.salesytd, s.saleslastyear
  FROM sales.salesperson s
  JOIN humanresources.employee e ON e.businessentityid = s.businessentityid
  JOIN person.person p ON p.businessentityid = s.businessentityid
  JOIN person.businessentityaddress b ON b.businessentityid = s.businessentityid
  JOIN person.address a ON a.addressid = b.addressid
  LEFT JOIN sales.salesterritory t ON t.territoryid = s.territoryid
  LEFT JOIN person.personphone h ON h.businessentityid = s.businessentityid
  LEFT JOIN person.emailaddress m ON m.businessentityid = s.businessentityid;

CREATE VIEW sales.vsalespersonsalesbyfiscalyearsdata AS
SELECT o.salespersonid, concat_ws(' ', p.firstname, p.middlename, p.lastname) AS fullname, e.jobtitle,
       t.name AS salesterritory, sum(o.subtotal) AS salestotal, sales.fiscalyear(o.orderdate) AS fiscalyear
  FROM sales.salesorderheader o
  JOIN sales.salesperson s ON s.businessentityid = o.salespersonid
  JOIN humanresources.employee e ON e.businessentityid = s.businessentityid
  JOIN person.person p ON p.businessentityid = s.businessentityid
  LEFT JOIN sales.salesterritory t ON t.territoryid = s.territoryid
 GROUP BY o.salespersonid, p.firstname, p.middlename, p.lastname, e.jobtitle, t.name, sales.fiscalyear(o.orderdate);

CREATE VIEW sales.vsalespersonsalesbyfiscalyears AS
SELECT y.salespersonid, y.fullname, y.jobtitle, y.salesterritory, y."2011", y."2012", y."2013", y."2014"
  FROM public.crosstab(
         'SELECT salespersonid, fullname, jobtitle, salesterritory, fiscalyear, salestotal
            FROM sales.vsalespersonsalesbyfiscalyearsdata ORDER BY salespersonid, fiscalyear',
         'SELECT pg_catalog.generate_series(2011, 2014)')
       AS y (salespersonid integer, fullname text, jobtitle text, salesterritory text,
             "2011" numeric, "2012" numeric, "2013" numeric, "2014" numeric);

CREATE VIEW sales.vstorewithaddresses AS
SELECT r.businessentityid, r.name, t.name AS addresstype, a.addressline1, a.addressline2, a.city,
       s.name AS stateprovincename, a.postalcode, c.name AS countryregionname
  FROM sales.store r
  JOIN person.businessentityaddress b ON b.businessentityid = r.businessentityid
  JOIN person.address a ON a.addressid = b.addressid
  JOIN person.stateprovince s ON s.stateprovinceid = a.stateprovinceid
  JOIN person.countryregion c ON c.countryregioncode = s.countryregioncode
  JOIN person.addresstype t ON t.addresstypeid = b.addresstypeid;

CREATE VIEW sales.vstorewithcontacts AS
SELECT r.businessentityid, r.name, t.name AS contacttype, p.title, p.firstname, p.middlename, p.lastname, p.suffix,
       h.phonenumber, n.name AS phonenumbertype, m.emailaddress, p.emailpromotion
  FROM sales.store r
  JOIN person.businessentitycontact b ON b.businessentityid = r.businessentityid
  JOIN person.contacttype t ON t.contacttypeid = b.contacttypeid
  JOIN person.person p ON p.businessentityid = b.personid
  LEFT JOIN person.personphone h ON h.businessentityid = p.businessentityid
  LEFT JOIN person.phonenumbertype n ON n.phonenumbertypeid = h.phonenumbertypeid
  LEFT JOIN person.emailaddress m ON m.businessentityid = p.businessentityid;

CREATE VIEW sales.vstorewithdemographics AS
SELECT r.businessentityid, r.name, d.*
  FROM sales.store r,
       XMLTABLE(XMLNAMESPACES('urn:adventureworks:store-survey' AS s), '/s:StoreSurvey'
         PASSING r.demographics COLUMNS
         "AnnualSales" numeric PATH 's:AnnualSales',
         "AnnualRevenue" numeric PATH 's:AnnualRevenue',
         "BankName" text PATH 's:BankName',
         "BusinessType" text PATH 's:BusinessType',
         "YearOpened" integer PATH 's:YearOpened',
         "Specialty" text PATH 's:Specialty',
         "SquareFeet" integer PATH 's:SquareFeet',
         "Brands" text PATH 's:Brands',
         "Internet" text PATH 's:Internet',
         "NumberEmployees" integer PATH 's:NumberEmployees') d;
