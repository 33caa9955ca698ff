CREATE TRIGGER product_touch BEFORE UPDATE ON production.product
  FOR EACH ROW WHEN (NEW.modifieddate = OLD.modifieddate) EXECUTE PROCEDURE production.touch();
CREATE TRIGGER customer_touch BEFORE UPDATE ON sales.customer
  FOR EACH ROW WHEN (NEW.modifieddate = OLD.modifieddate) EXECUTE PROCEDURE production.touch();
