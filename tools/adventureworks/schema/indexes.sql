CREATE UNIQUE INDEX ak_employee_loginid ON humanresources.employee (loginid);
CREATE UNIQUE INDEX ak_employee_nationalidnumber ON humanresources.employee (nationalidnumber);
CREATE INDEX ix_employeedepartmenthistory_departmentid ON humanresources.employeedepartmenthistory (departmentid);

CREATE INDEX ix_address_stateprovinceid ON person.address (stateprovinceid);
CREATE INDEX ix_address_city ON person.address (city text_pattern_ops, postalcode DESC NULLS LAST);
CREATE INDEX ix_businessentityaddress_addressid ON person.businessentityaddress (addressid);
CREATE INDEX ix_emailaddress_lower ON person.emailaddress (lower(emailaddress));
CREATE INDEX ix_person_name ON person.person (lastname, firstname, middlename);
CREATE UNIQUE INDEX ak_stateprovince_code ON person.stateprovince (countryregioncode, stateprovincecode);

CREATE UNIQUE INDEX ak_product_productnumber ON production.product (productnumber);
CREATE UNIQUE INDEX ak_document_rowguid ON production.document (rowguid);
CREATE INDEX ix_productdescription_words ON production.productdescription
  USING gin (to_tsvector('pg_catalog.simple', description));
CREATE INDEX ix_transactionhistory_productid ON production.transactionhistory (productid);
CREATE INDEX ix_transactionhistory_transactiondate ON production.transactionhistory USING brin (transactiondate);
CREATE INDEX ix_transactionhistoryarchive_reference ON production.transactionhistoryarchive
  (referenceorderid, referenceorderlineid);
CREATE INDEX ix_workorder_productid ON production.workorder (productid);
CREATE INDEX ix_workorder_open ON production.workorder (duedate) WHERE enddate IS NULL;

CREATE UNIQUE INDEX ak_vendor_accountnumber ON purchasing.vendor (accountnumber);
CREATE INDEX ix_purchaseorderheader_vendorid ON purchasing.purchaseorderheader (vendorid);

CREATE UNIQUE INDEX ak_currencyrate_quotation ON sales.currencyrate (currencyratedate, fromcurrencycode, tocurrencycode);
CREATE INDEX ix_customer_territoryid ON sales.customer (territoryid);
CREATE UNIQUE INDEX ak_salesorderdetail_rowguid ON sales.salesorderdetail (rowguid);
CREATE INDEX ix_salesorderdetail_productid ON sales.salesorderdetail (productid);
CREATE INDEX ix_salesorderheader_customerid ON sales.salesorderheader (customerid);
CREATE INDEX ix_salesorderheader_salespersonid ON sales.salesorderheader (salespersonid)
  WHERE salespersonid IS NOT NULL;
CREATE INDEX ix_salesorderheader_fiscalyear ON sales.salesorderheader (sales.fiscalyear(orderdate));
CREATE INDEX ix_store_salespersonid ON sales.store (salespersonid);
