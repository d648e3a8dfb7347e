-- The table of mysqlStore(), as its migrate() makes it, schema version 1. For another name, change it here, and give the
-- same to mysqlStore(). It may run again.
CREATE TABLE IF NOT EXISTS holdfast_schema (
  table_name VARBINARY(64) NOT NULL PRIMARY KEY,
  version INT NOT NULL
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS `holdfast_sessions` (
  id VARBINARY(128) NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL,
  payload LONGBLOB NOT NULL,
  idle_deadline BIGINT NOT NULL,
  absolute_deadline BIGINT NOT NULL,
  user_id VARBINARY(1020),
  INDEX by_deadline (idle_deadline),
  INDEX by_user (user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
INSERT INTO holdfast_schema VALUES ('holdfast_sessions', 1) ON DUPLICATE KEY UPDATE version = 1;
