"""The generation core: any draft in any round, the target's text always."""
