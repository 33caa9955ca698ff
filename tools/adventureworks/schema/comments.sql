COMMENT ON SCHEMA humanresources IS 'Employees, departments and job candidates';
COMMENT ON SCHEMA person IS 'Persons, their names, addresses and numbers, customers'' and employees'' alike';
COMMENT ON SCHEMA production IS 'Products, how they are made, and their stock';
COMMENT ON SCHEMA purchasing IS 'Vendors, and orders placed with them';
COMMENT ON SCHEMA sales IS 'Customers, and orders placed by them';

COMMENT ON DOMAIN public."Flag" IS 'Yes or no, and nothing else';
COMMENT ON DOMAIN public."Phone" IS 'A telephone number as people write it';

COMMENT ON TABLE humanresources.department IS 'What the company is divided into';
COMMENT ON COLUMN humanresources.department.groupname IS 'The division that the department belongs to';
COMMENT ON TABLE humanresources.employee IS 'Those who work for the company';
COMMENT ON COLUMN humanresources.employee.organizationnode IS 'Place in the hierarchy, as a path from the top';
COMMENT ON TABLE person.address IS 'Street addresses of employees, customers, stores and vendors';
COMMENT ON COLUMN person.address.spatiallocation IS 'Latitude and longitude in a binary form';
COMMENT ON TABLE person.businessentity IS 'Identifiers that persons, stores and vendors share';
COMMENT ON TABLE person.person IS 'Human beings in touch with the company';
COMMENT ON COLUMN person.person.persontype IS
  'EM employee, SP salesperson, SC store contact, VC vendor contact, IN individual customer, GC general contact';
COMMENT ON TABLE production.document IS 'Files about products; bytes are kept in the database';
COMMENT ON TABLE production.product IS 'What is sold, and what that is made of';
COMMENT ON COLUMN production.product.listprice IS 'In dollars; 0 for what is not sold';
COMMENT ON TABLE production.transactionhistoryarchive IS 'Stock movements of the year before last; "old" ones';
COMMENT ON TABLE production.workorder IS 'Orders to make something';
COMMENT ON TABLE purchasing.purchaseorderheader IS 'Orders placed with vendors';
COMMENT ON TABLE sales.salesorderheader IS 'Orders placed by customers';
COMMENT ON COLUMN sales.salesorderheader.totaldue IS 'subtotal + taxamt + freight';
COMMENT ON COLUMN sales.salesterritory."group" IS 'The part of the world that the territory lies in';

COMMENT ON CONSTRAINT pk_department ON humanresources.department IS 'A department has one number';
COMMENT ON INDEX sales.ix_salesorderheader_fiscalyear IS 'Serves sales.vsalespersonsalesbyfiscalyearsdata';
COMMENT ON FUNCTION sales.fiscalyear(timestamp without time zone) IS 'The fiscal year that a day belongs to';
COMMENT ON VIEW sales.vsalespersonsalesbyfiscalyears IS 'A column for each year, by crosstab';
COMMENT ON MATERIALIZED VIEW production.vproductanddescription IS 'Products with their descriptions by language';
COMMENT ON TRIGGER product_touch ON production.product IS 'Keeps modifieddate current';
COMMENT ON SEQUENCE humanresources.department_departmentid_seq IS 'Numbers departments';
