module soak-operator.io/netcheck

go 1.24
