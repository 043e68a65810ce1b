"""The SQL compiler: scoped plans to ClickHouse queries, each proved scoped before it is run."""
