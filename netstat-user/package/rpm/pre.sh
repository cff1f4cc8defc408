@ACCOUNTS@
note_group
