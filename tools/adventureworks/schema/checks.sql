ALTER TABLE humanresources.employee
  ADD CONSTRAINT ck_employee_gender CHECK (upper(gender) IN ('F', 'M')),
  ADD CONSTRAINT ck_employee_maritalstatus CHECK (upper(maritalstatus) IN ('M', 'S')),
  ADD CONSTRAINT ck_employee_birthdate CHECK (birthdate >= '1930-01-01' AND birthdate < hiredate),
  ADD CONSTRAINT ck_employee_vacationhours CHECK (vacationhours BETWEEN -40 AND 240);
ALTER TABLE humanresources.employeedepartmenthistory
  ADD CONSTRAINT ck_employeedepartmenthistory_dates CHECK (enddate IS NULL OR enddate >= startdate);
ALTER TABLE humanresources.employeepayhistory
  ADD CONSTRAINT ck_employeepayhistory_rate CHECK (rate BETWEEN 6.50 AND 200.00),
  ADD CONSTRAINT ck_employeepayhistory_payfrequency CHECK (payfrequency IN (1, 2));

ALTER TABLE person.person
  ADD CONSTRAINT ck_person_emailpromotion CHECK (emailpromotion BETWEEN 0 AND 2),
  ADD CONSTRAINT ck_person_persontype CHECK (persontype IN ('EM', 'GC', 'IN', 'SC', 'SP', 'VC'));

ALTER TABLE production.billofmaterials
  ADD CONSTRAINT ck_billofmaterials_assembly CHECK (productassemblyid <> componentid),
  ADD CONSTRAINT ck_billofmaterials_bomlevel CHECK ((productassemblyid IS NULL) = (bomlevel = 0)),
  ADD CONSTRAINT ck_billofmaterials_perassemblyqty CHECK (perassemblyqty >= 1.00);
ALTER TABLE production.document
  ADD CONSTRAINT ck_document_status CHECK (status BETWEEN 1 AND 3);
ALTER TABLE production.product
  ADD CONSTRAINT ck_product_listprice CHECK (listprice >= 0.00),
  ADD CONSTRAINT ck_product_standardcost CHECK (standardcost >= 0.00),
  ADD CONSTRAINT ck_product_safetystocklevel CHECK (safetystocklevel > 0),
  ADD CONSTRAINT ck_product_class CHECK (class IN ('H', 'M', 'L')),
  ADD CONSTRAINT ck_product_productline CHECK (productline IN ('M', 'R', 'S', 'T'));
ALTER TABLE production.productreview
  ADD CONSTRAINT ck_productreview_rating CHECK (rating BETWEEN 1 AND 5);
ALTER TABLE production.transactionhistory
  ADD CONSTRAINT ck_transactionhistory_transactiontype CHECK (transactiontype IN ('P', 'S', 'W'));
ALTER TABLE production.workorder
  ADD CONSTRAINT ck_workorder_orderqty CHECK (orderqty > 0),
  ADD CONSTRAINT ck_workorder_scrappedqty CHECK (scrappedqty BETWEEN 0 AND orderqty),
  ADD CONSTRAINT ck_workorder_enddate CHECK (enddate IS NULL OR enddate >= startdate);

ALTER TABLE purchasing.purchaseorderdetail
  ADD CONSTRAINT ck_purchaseorderdetail_orderqty CHECK (orderqty > 0),
  ADD CONSTRAINT ck_purchaseorderdetail_rejectedqty CHECK (rejectedqty BETWEEN 0.00 AND receivedqty);
ALTER TABLE purchasing.vendor
  ADD CONSTRAINT ck_vendor_creditrating CHECK (creditrating BETWEEN 1 AND 5);

ALTER TABLE sales.customer
  ADD CONSTRAINT ck_customer_someone CHECK (personid IS NOT NULL OR storeid IS NOT NULL);
ALTER TABLE sales.salesorderdetail
  ADD CONSTRAINT ck_salesorderdetail_orderqty CHECK (orderqty > 0),
  ADD CONSTRAINT ck_salesorderdetail_unitprice CHECK (unitprice >= 0.00),
  ADD CONSTRAINT ck_salesorderdetail_unitpricediscount CHECK (unitpricediscount >= 0.00);
ALTER TABLE sales.salesorderheader
  ADD CONSTRAINT ck_salesorderheader_dates CHECK (duedate >= orderdate AND (shipdate IS NULL OR shipdate >= orderdate)),
  ADD CONSTRAINT ck_salesorderheader_status CHECK (status BETWEEN 0 AND 8),
  ADD CONSTRAINT ck_salesorderheader_totaldue CHECK (totaldue = subtotal + taxamt + freight);
ALTER TABLE sales.specialoffer
  ADD CONSTRAINT ck_specialoffer_discountpct CHECK (discountpct BETWEEN 0.00 AND 1.00);
